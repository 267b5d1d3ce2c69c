use std::cell::Cell;

use plenipo_model::{Balance, Source};

use super::*;
use crate::upstream::balance::choose;

const SECOND: Duration = Duration::from_secs(1);

fn address(last: u8) -> SocketAddr {
    ([10, 0, 0, last], 80).into()
}

fn cluster(addresses: &[u8]) -> Cluster {
    let endpoints = Endpoints::addresses(addresses.iter().copied().map(address));
    let (slow_start, drain) = (Some(SECOND * 40), Some(SECOND * 30));
    Cluster { slow_start, drain, ..Cluster::new("up", Source::new("test"), endpoints) }
}

fn build(addresses: &[u8], before: Option<&Arc<Upstream>>) -> Arc<Upstream> {
    Upstream::build(&Arc::new(cluster(addresses)), before)
}

fn state(upstream: &Upstream, last: u8) -> Arc<EndpointState> {
    let set = upstream.endpoints().expect("set");
    let found = set.endpoints.iter().find(|state| state.address == address(last));
    Arc::clone(found.expect("one of them"))
}

/// Lets the paused clock go beyond the beginning that all tests share.
async fn later() {
    tokio::time::sleep(SECOND * 10_000).await;
}

/// Of 1000 requests, those that the endpoint gets.
fn share(upstream: &Upstream, last: u8) -> usize {
    let (set, turn) = (upstream.endpoints().expect("set"), Cell::new(0));
    let drawn = (0..1000).filter_map(|_| choose(&set, Balance::RoundRobin, &turn, None, |_| 0, &[]));
    drawn.filter(|chosen| chosen.address == address(last)).count()
}

/// Its share next to one that has its full one, and what it should be, at each quarter of the time.
async fn warms_up(upstream: &Upstream, last: u8) {
    let begun = Instant::now();
    for (quarters, warmth, expected) in
        [(0, 1, 1), (1, 250, 200), (2, 500, 333), (3, 750, 428), (4, WARM, 500)]
    {
        tokio::time::sleep_until(begun + SECOND * 10 * quarters).await;
        assert_eq!(state(upstream, last).warmth(SECOND * 40), warmth, "after {quarters} quarters");
        let share = share(upstream, last);
        assert!(share.abs_diff(expected) <= 3, "{share} after {quarters} quarters");
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_endpoint_comes_to_its_share_by_time() {
    later().await;
    let first = build(&[1], None);
    assert_eq!(state(&first, 1).warmth(SECOND * 40), WARM, "nobody was there before it");
    let grown = build(&[1, 2], Some(&first));
    warms_up(&grown, 2).await;
    assert_eq!(state(&grown, 1).warmth(SECOND * 40), WARM);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_recovers_begins_anew() {
    later().await;
    let upstream = build(&[1, 2], None);
    assert_eq!(share(&upstream, 2), 500, "all begin together");
    state(&upstream, 2).set_healthy(false);
    tokio::time::sleep(SECOND * 100).await;
    state(&upstream, 2).set_healthy(true);
    tokio::time::sleep(SECOND * 20).await;
    state(&upstream, 2).set_healthy(true);
    assert_eq!(state(&upstream, 2).warmth(SECOND * 40), 500, "it was healthy already");
    state(&upstream, 2).set_healthy(false);
    state(&upstream, 2).set_healthy(true);
    warms_up(&upstream, 2).await;
}

/// When what is under way at an endpoint is cut, in milliseconds.
async fn cut(upstream: &Arc<Upstream>, last: u8, changes: impl AsyncFnOnce()) -> Option<u128> {
    let begun = Instant::now();
    let end = async {
        upstream.drained(address(last)).await;
        begun.elapsed().as_millis()
    };
    let changes = async {
        changes().await;
        tokio::time::sleep(SECOND * 1000).await;
    };
    tokio::select! {
        millis = end => Some(millis),
        () = changes => None,
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_is_cut_when_the_delay_is_over() {
    let upstream = build(&[1, 2], None);
    let leaves = async || {
        tokio::time::sleep(SECOND * 7).await;
        build(&[2], Some(&upstream));
    };
    assert_eq!(cut(&upstream, 1, leaves).await, Some(37_000));

    // A new endpoint at the old address saves nothing that went to the one before.
    let upstream = build(&[1, 2], None);
    let returns = async || {
        build(&[2], Some(&upstream));
        tokio::time::sleep(SECOND).await;
        build(&[1, 2], Some(&upstream));
    };
    assert_eq!(cut(&upstream, 1, returns).await, Some(30_000));

    // Others come and go, weights and health change.
    let upstream = build(&[1, 2], None);
    let others = async || {
        build(&[1, 3], Some(&upstream));
        upstream.live.set(&[Endpoint { weight: 7, ..Endpoint::at(address(1)) }]);
        state(&upstream, 1).set_healthy(false);
    };
    assert_eq!(cut(&upstream, 1, others).await, None);

    // Chosen a moment ago, and gone since.
    let upstream = build(&[2], None);
    assert_eq!(cut(&upstream, 1, async || {}).await, Some(30_000));
}
