use std::future::pending;

use plenipo_model::{Endpoints, Source};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::time::Instant;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A relay of one byte each second, over an endpoint that leaves (or sickens) after 5 s: how many bytes came through, why it
/// ended, and after how many milliseconds.
async fn relayed(drain: Option<Duration>, end_unhealthy: bool, sickens: bool) -> (u64, End, u128) {
    let address = ([10, 0, 0, 1], 80).into();
    let endpoints = Endpoints::addresses([address]);
    let model = Cluster { drain, ..Cluster::new("up", Source::new("test"), endpoints) };
    let upstream = Upstream::build(&Arc::new(model), None);
    let endpoint = Arc::clone(&upstream.endpoints().expect("set").endpoints[0]);
    let ((mut client, ours), (theirs, mut server)) = (duplex(64), duplex(64));
    let begun = Instant::now();
    let changes = async {
        tokio::time::sleep(SECOND * 5).await;
        if sickens {
            endpoint.set_healthy(false);
        } else {
            upstream.live.set(&[]);
        }
        pending::<()>().await;
    };
    let talk = async {
        let mut byte = [0];
        for _ in 0..30 {
            tokio::time::sleep(SECOND).await;
            client.write_all(b"x").await.expect("relayed");
            server.read_exact(&mut byte).await.expect("relayed");
        }
        client.shutdown().await.expect("relayed");
        server.shutdown().await.expect("relayed");
        pending::<()>().await;
    };
    let cut = loses_its_endpoint(end_unhealthy, &upstream.model, &endpoint);
    let carried = tokio::select! {
        carried = carry(ours, theirs, Some(SECOND * 60), cut) => carried,
        () = changes => unreachable!("it never ends"),
        () = talk => unreachable!("it never ends"),
    };
    (carried.up, carried.end, begun.elapsed().as_millis())
}

#[tokio::test(start_paused = true)]
async fn a_relay_lives_on_while_its_endpoint_drains_and_ends_with_it() {
    let half = Duration::from_millis(500);
    let drained = End::Cut("endpoint_drained");
    assert_eq!(relayed(Some(SECOND * 10 + half), false, false).await, (15, drained, 15_500));
    assert_eq!(relayed(Some(Duration::ZERO), false, false).await.1, drained);
    assert_eq!(relayed(None, false, false).await, (30, End::Closed, 30_000));
    assert_eq!(relayed(Some(half), false, true).await, (30, End::Closed, 30_000), "sick, but not gone");
    assert_eq!(relayed(None, true, true).await.1, End::Cut("endpoint_unhealthy"));
}

#[tokio::test(start_paused = true)]
async fn a_relay_is_ended_when_nothing_moves_for_too_long() {
    let ((mut client, ours), (theirs, mut server)) = (duplex(64), duplex(64));
    let begun = Instant::now();
    let talk = async {
        tokio::time::sleep(SECOND * 7).await;
        server.write_all(b"x").await.expect("relayed");
        assert_eq!(client.read_u8().await.expect("relayed"), b'x');
        pending::<()>().await;
    };
    let carried = tokio::select! {
        carried = carry(ours, theirs, Some(SECOND * 10), pending()) => carried,
        () = talk => unreachable!("it never ends"),
    };
    assert_eq!((carried.down, carried.end), (1, End::Cut("idle_timeout")));
    assert_eq!(begun.elapsed(), SECOND * 17);
}

#[tokio::test(start_paused = true)]
async fn a_relay_is_ended_when_it_has_lasted_for_long_enough() {
    for (limit, expected) in
        [(None, None), (Some(SECOND * 90), Some(90_000)), (Some(Duration::ZERO), Some(0))]
    {
        let endpoints = Endpoints::addresses([]);
        let model =
            Cluster { max_relay_duration: limit, ..Cluster::new("up", Source::new("test"), endpoints) };
        let ((mut client, ours), (theirs, mut server)) = (duplex(64), duplex(64));
        let begun = Instant::now();
        let talk = async {
            for _ in 0..100 {
                tokio::time::sleep(SECOND).await;
                client.write_all(b"x").await.expect("relayed");
                server.read_u8().await.expect("relayed");
            }
        };
        let carried = tokio::select! {
            biased;
            carried = carry(ours, theirs, Some(SECOND * 10), lasts_too_long(&model)) => Some(carried),
            () = talk => None,
        };
        let ended = carried.map(|carried| {
            assert_eq!(carried.end, End::Cut("max_duration_reached"));
            begun.elapsed().as_millis()
        });
        assert_eq!(ended, expected);
    }
}
