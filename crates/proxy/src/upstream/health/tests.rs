use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::pending;

use plenipo_model::{Balance, Endpoint, Endpoints, FailOpen, Source};
use tokio::time::Instant;

use super::*;
use crate::snapshot::clusters::{EndpointSet, Selection};
use crate::upstream::balance::choose;

/// What an endpoint says to a check.
#[derive(Clone, Copy, PartialEq)]
enum Says {
    Pass,
    Fail,
    Nothing,
}
use Says::{Fail, Nothing, Pass};

/// When health changed, in milliseconds from the beginning, and to what.
type Change = (u64, bool);

/// Asked every 5 s for at most 3 s; two passes make healthy, three failures unhealthy.
fn rule() -> HealthCheck {
    let (timeout, interval) = (Duration::from_secs(3), Duration::from_secs(5));
    HealthCheck {
        healthy_after: 2,
        unhealthy_after: 3,
        ..HealthCheck::new(timeout, interval, HealthProbe::Tcp)
    }
}

fn cluster(rules: Vec<HealthCheck>) -> Cluster {
    Cluster { health_checks: rules, ..Cluster::new("up", Source::new("test"), Endpoints::addresses([])) }
}

fn endpoint(last: u8) -> Arc<EndpointState> {
    EndpointState::new(([10, 0, 0, last], 80).into(), 1)
}

/// What a cluster's checks do when each is answered in turn by its script: when which is asked, and when the endpoint's
/// health changes, in milliseconds from the beginning.
async fn course(rules: Vec<HealthCheck>, scripts: &[&[Says]]) -> (Vec<(usize, u64)>, Vec<Change>) {
    let (cluster, endpoint) = (cluster(rules), endpoint(1));
    let begun = Instant::now();
    let now = || u64::try_from(begun.elapsed().as_millis()).expect("soon");
    let asked = RefCell::new(Vec::new());
    let turns: Vec<_> = scripts.iter().map(|_| Cell::new(0)).collect();
    let ended = tokio::sync::Notify::new();
    let ask = async |at: usize| {
        let turn = turns[at].replace(turns[at].get() + 1);
        let Some(says) = scripts[at].get(turn) else {
            ended.notify_one();
            return pending().await;
        };
        asked.borrow_mut().push((at, now()));
        match says {
            Nothing => pending().await,
            says => *says == Pass,
        }
    };
    let mut changes = Vec::new();
    let watch = async {
        let mut last = true;
        loop {
            if endpoint.healthy() != last {
                last = !last;
                changes.push((now(), last));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    // What is watched comes before who watches it at every moment.
    tokio::select! {
        biased;
        () = judge(&cluster, &endpoint, ask) => {}
        () = watch => {}
        () = ended.notified() => {}
    }
    (asked.into_inner(), changes)
}

#[tokio::test(start_paused = true)]
async fn questions_follow_each_other_by_the_interval_and_silence_is_a_failure() {
    let (asked, changes) = course(vec![rule()], &[&[Pass, Pass, Nothing, Fail, Nothing, Pass, Pass]]).await;
    let moments: Vec<_> = asked.into_iter().map(|(_, moment)| moment).collect();
    // At once, then 5 s after each answer, or after the 3 s in which none came.
    assert_eq!(moments, [0, 5_000, 10_000, 18_000, 23_000, 31_000, 36_000]);
    // Out with the third failure (asked at 23 s, given up at 26 s), back with the second pass.
    assert_eq!(changes, [(26_000, false), (36_000, true)]);
}

#[tokio::test(start_paused = true)]
async fn the_first_answer_decides_and_a_row_that_breaks_counts_for_nothing() {
    let cases: [(&[Says], &[Change]); 4] = [
        (&[Fail, Pass, Fail, Pass, Pass, Pass], &[(0, false), (20_000, true)]),
        (&[Nothing, Pass, Pass], &[(3_000, false), (13_000, true)]),
        (&[Pass, Fail, Fail, Pass, Fail, Fail, Pass], &[]),
        (&[Pass, Fail, Fail, Fail, Fail, Pass, Fail, Pass, Pass], &[(15_000, false), (40_000, true)]),
    ];
    for (script, expected) in cases {
        assert_eq!(course(vec![rule()], &[script]).await.1, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_is_healthy_while_all_checks_pass() {
    let quick = HealthCheck { interval: Duration::from_secs(2), unhealthy_after: 1, ..rule() };
    let scripts = [&[Pass, Pass, Pass, Pass, Pass] as &[_], &[Pass, Fail, Pass, Pass, Pass]];
    let (asked, changes) = course(vec![rule(), quick], &scripts).await;
    // Together, by the shorter interval.
    assert_eq!(asked[..4], [(0, 0), (1, 0), (0, 2_000), (1, 2_000)]);
    assert_eq!(changes, [(2_000, false), (6_000, true)]);
}

/// Three endpoints fall silent one after the other and come back; who is used at each moment depends on the mode alone.
#[tokio::test(start_paused = true)]
async fn each_mode_opens_and_closes_at_its_moment() {
    let upstream = Upstream::build(&Arc::new(cluster(vec![rule()])), None);
    let addresses = [1, 2, 3].map(|last| Endpoint::at(endpoint(last).address));
    upstream.live.set(&addresses);
    let states = upstream.endpoints().expect("set").endpoints.clone();
    let cluster = &upstream.model;
    let begun = Instant::now();
    // Number n fails from n × 20 s on, and all are well again after 100 s.
    let answer = async |number: u64| {
        let now = begun.elapsed().as_secs();
        now < number * 20 || now >= 100
    };
    let used = |fail_open| {
        let cluster = Cluster { fail_open, ..(**cluster).clone() };
        let set = EndpointSet::new(states.clone(), Selection::of(&cluster));
        let turn = Cell::new(0);
        let drawn = (0..30).filter_map(|_| choose(&set, Balance::RoundRobin, &turn, None, |_| 0, &[]));
        drawn.map(|chosen| chosen.address).collect::<BTreeSet<_>>().len()
    };
    let look = async {
        // The third failure in a row is 10 s after the first; the second pass 5 s after the first.
        for (millis, below_half, when_none, never) in [
            (1, 3, 3, 3),
            (29_999, 3, 3, 3),
            (30_001, 2, 2, 2),
            (49_999, 2, 2, 2),
            (50_001, 3, 1, 1),
            (69_999, 3, 1, 1),
            (70_001, 3, 3, 0),
            (104_999, 3, 3, 0),
            (105_001, 3, 3, 3),
        ] {
            tokio::time::sleep_until(begun + Duration::from_millis(millis)).await;
            let found = [FailOpen::BelowHalf, FailOpen::WhenNone, FailOpen::Never].map(used);
            assert_eq!(found, [below_half, when_none, never], "at {millis} ms");
        }
    };
    tokio::select! {
        () = judge(cluster, &states[0], async |_| answer(1).await) => {}
        () = judge(cluster, &states[1], async |_| answer(2).await) => {}
        () = judge(cluster, &states[2], async |_| answer(3).await) => {}
        () = look => {}
    }
}
