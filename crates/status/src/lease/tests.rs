use super::*;

fn record(holder: &str, renewed: &str) -> Option<Record> {
    let (holder, renewed) = (holder.to_owned(), renewed.to_owned());
    Some(Record { holder, duration: DURATION, renewed, transitions: 3 })
}

fn election() -> Election {
    Election::new("us".to_owned())
}

#[test]
fn a_lease_that_is_not_there_is_made() {
    assert_eq!(election().step(Instant::now(), None), Step::Create);
}

#[test]
fn anothers_lease_is_taken_when_it_was_not_renewed_for_its_duration() {
    let (mut us, start) = (election(), Instant::now());
    assert_eq!(us.step(start, record("them", "1")), Step::Wait);
    assert_eq!(us.step(start + Duration::from_secs(14), record("them", "1")), Step::Wait);
    assert_eq!(us.step(start + Duration::from_secs(15), record("them", "1")), Step::Take(4));
}

#[test]
fn what_is_renewed_holds_for_another_duration_whatever_time_it_says() {
    let (mut us, start) = (election(), Instant::now());
    us.step(start, record("them", "a clock that is years ahead"));
    let later = start + Duration::from_secs(14);
    assert_eq!(us.step(later, record("them", "or years behind")), Step::Wait);
    assert_eq!(us.step(start + Duration::from_secs(28), record("them", "or years behind")), Step::Wait);
    assert_eq!(us.step(start + Duration::from_secs(29), record("them", "or years behind")), Step::Take(4));
}

#[test]
fn what_was_given_back_is_taken_at_once() {
    assert_eq!(election().step(Instant::now(), record("", "1")), Step::Take(4));
}

#[test]
fn ours_is_renewed_also_after_a_restart_under_the_same_name() {
    assert_eq!(election().step(Instant::now(), record("us", "1")), Step::Renew);
}

#[test]
fn we_lead_for_less_than_the_lease_holds() {
    let (mut us, start) = (election(), Instant::now());
    assert_eq!(us.leads_until(), None);
    us.step(start, None);
    us.granted(start);
    let until = us.leads_until().expect("it was granted");
    assert!(
        until + crate::api::ANSWER <= start + DURATION,
        "what was begun last ends before another may begin"
    );
    us.step(start + RETRY, record("them", "2"));
    assert_eq!(us.leads_until(), None, "another has it");
}
