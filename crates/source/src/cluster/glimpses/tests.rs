use super::*;

fn id() -> ObjectId {
    ObjectId::new("Secret", "shop", "cert")
}

fn glimpse(version: &str) -> Glimpse {
    Glimpse { version: version.to_owned(), labels: BTreeMap::new() }
}

/// What has to be fetched and forgotten for the Secret.
fn errand(glimpses: &mut Glimpses, is_wanted: bool) -> (Vec<String>, usize) {
    let mut errands = Errands::default();
    glimpses.errand(&id(), is_wanted, &mut errands);
    (errands.fetch.into_iter().map(|(_, version)| version).collect(), errands.forget.len())
}

fn fetch(version: &str) -> (Vec<String>, usize) {
    (vec![version.to_owned()], 0)
}

const NOTHING: (Vec<String>, usize) = (Vec::new(), 0);

#[test]
fn what_is_seen_and_wanted_is_fetched_once() {
    let mut glimpses = Glimpses::default();
    assert_eq!(errand(&mut glimpses, true), NOTHING, "it is not there");
    glimpses.see(id(), glimpse("1"));
    assert_eq!(errand(&mut glimpses, false), NOTHING, "nobody wants it");
    assert_eq!(errand(&mut glimpses, true), fetch("1"));
    assert_eq!(errand(&mut glimpses, true), NOTHING);
    assert!(glimpses.is_waiting());
    assert!(glimpses.answered(&id(), "1"));
    assert!(!glimpses.is_waiting());
    assert_eq!(errand(&mut glimpses, true), NOTHING);
    assert_eq!(errand(&mut glimpses, false), (Vec::new(), 1));
    assert_eq!(errand(&mut glimpses, true), fetch("1"));
}

#[test]
fn of_two_answers_the_one_to_the_last_question_counts() {
    let mut glimpses = Glimpses::default();
    glimpses.see(id(), glimpse("1"));
    assert_eq!(errand(&mut glimpses, true), fetch("1"));
    glimpses.see(id(), glimpse("2"));
    assert_eq!(errand(&mut glimpses, true), fetch("2"));
    assert!(!glimpses.answered(&id(), "1"), "it may be from before");
    assert!(glimpses.answered(&id(), "2"));
    glimpses.lose(&id());
    assert_eq!(errand(&mut glimpses, true), (Vec::new(), 1));
    assert!(!glimpses.answered(&id(), "2"), "it is gone");
}

#[test]
fn what_failed_is_tried_again_when_it_is_time_or_it_changed() {
    let mut glimpses = Glimpses::default();
    glimpses.see(id(), glimpse("1"));
    assert_eq!(errand(&mut glimpses, true), fetch("1"));
    let later = Failure::Other("later".into());
    assert!(glimpses.unanswered(&id(), "1", &later));
    assert!(glimpses.is_waiting(), "it may still come");
    assert_eq!(errand(&mut glimpses, true), NOTHING);
    assert_eq!(glimpses.again(), [(id(), "1".to_owned())]);
    assert!(!glimpses.unanswered(&id(), "1", &later), "that is known");
    glimpses.see(id(), glimpse("2"));
    assert_eq!(errand(&mut glimpses, true), fetch("2"));
    assert!(glimpses.unanswered(&id(), "2", &Failure::Forbidden("no".into())));
    assert!(!glimpses.is_waiting(), "it will not come by itself");
    assert_eq!(glimpses.complaints().count(), 1);
    assert_eq!(glimpses.again().len(), 1);
    assert!(glimpses.answered(&id(), "2"));
    assert_eq!(glimpses.complaints().count(), 0);
}
