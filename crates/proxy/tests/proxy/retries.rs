//! What is tried again, where, and what is not.

use std::time::{Duration, Instant};

use ::http::Request;
use plenipo_model::{Backoff, Balance, HashKey, RetryOn, RetryPolicy, UpstreamProtocol};
use plenipo_testkit::{Answer, Http};

use super::balance::{several, spread};
use super::*;

/// Istio's, for routes that say nothing.
fn usual() -> RetryPolicy {
    let on = vec![
        RetryOn::ConnectFailure,
        RetryOn::RefusedStream,
        RetryOn::Unavailable,
        RetryOn::Cancelled,
        RetryOn::RetriableStatusCodes,
    ];
    RetryPolicy { on, ..RetryPolicy::new(RetryOn::Reset, 2) }
}

#[tokio::test]
async fn of_several_conditions_each_counts() {
    for protocol in [UpstreamProtocol::Http1, UpstreamProtocol::Http2] {
        let upstreams = several(1).await;
        let (gateway, bind) = spread(&upstreams, |cluster, route| {
            cluster.protocol = protocol;
            let mut all: Vec<_> = upstreams.iter().map(|upstream| upstream.address()).collect();
            all.push(refusing());
            cluster.endpoints = Endpoints::addresses(all);
            forward_of(route).retry = Some(RetryPolicy { statuses: vec![418], ..usual() });
        })
        .await;
        let retries = async || gateway.proxy.handle().measure().await.clusters["up"].retries;
        let client = Http::one(bind);
        for _ in 0..4 {
            assert_eq!(client.get("/").await.expect("answered").status, 200, "{protocol:?}");
        }
        let before = retries().await;
        assert!(matches!(before, 3 | 4), "{protocol:?}: {before} began where nobody listens");
        // What is retried is retried until no attempt is left.
        for (name, value, tries) in [
            ("x-echo-status", "503", 0),
            ("x-echo-status", "418", 2),
            ("x-echo-header", "grpc-status=14", 2),
            ("x-echo-header", "grpc-status=1", 2),
            ("x-echo-header", "grpc-status=2", 0),
        ] {
            upstreams[0].forget();
            let request = Request::get("/").header(name, value);
            client.send(request).await.expect("answered");
            // Attempts where nobody listens are not seen.
            let seen = upstreams[0].seen().len();
            assert!((1..=tries + 1).contains(&seen), "{protocol:?} {name}: {value}: {seen}");
            if tries > 0 {
                assert!(seen > 1, "{protocol:?} {name}: {value}: {seen}");
            }
        }
    }
}

#[tokio::test]
async fn endpoints_that_failed_are_avoided_unless_the_key_is_to_stay() {
    for (avoid_previous, expected) in [(true, [1, 1, 1]), (false, [3, 0, 0])] {
        let upstreams = several(3).await;
        let (_gateway, bind) = spread(&upstreams, |cluster, route| {
            cluster.balance = Balance::RingHash;
            let forward = forward_of(route);
            forward.hash = Some(HashKey::Query("user".into()));
            let policy = RetryPolicy::new(RetryOn::FiveXx, 2);
            forward.retry = Some(RetryPolicy { avoid_previous, ..policy });
        })
        .await;
        let request = Request::get("/?user=7").header("x-echo-status", "500");
        assert_eq!(Http::one(bind).send(request).await.expect("answered").status, 500);
        let mut seen: Vec<_> = upstreams.iter().map(|upstream| upstream.seen().len()).collect();
        seen.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!(seen, expected, "{avoid_previous}");
    }
}

#[tokio::test]
async fn what_was_sent_beyond_the_buffer_is_not_sent_again() {
    for protocol in [UpstreamProtocol::Http1, UpstreamProtocol::Http2] {
        let upstreams = several(1).await;
        let (_gateway, bind) = spread(&upstreams, |cluster, route| {
            cluster.protocol = protocol;
            forward_of(route).retry = Some(RetryPolicy::new(RetryOn::FiveXx, 2));
        })
        .await;
        let client = Http::one(bind);
        for (size, status, tries) in [(60_000, 200, 2), (70_000, 500, 1), (2_000_000, 500, 1)] {
            upstreams[0].forget();
            upstreams[0].plan([Answer::Status(500)]);
            let response = client.send_with(Request::post("/"), vec![b'x'; size]).await.expect("answered");
            assert_eq!((response.status.as_u16(), upstreams[0].seen().len()), (status, tries), "{size}");
        }
    }
}

#[tokio::test]
async fn pauses_are_as_long_as_the_policy_says() {
    let upstreams = several(1).await;
    let (_gateway, bind) = spread(&upstreams, |_, route| {
        let backoff = Some(Backoff { base: Duration::from_micros(1), max: Duration::from_micros(10) });
        forward_of(route).retry = Some(RetryPolicy { backoff, ..RetryPolicy::new(RetryOn::FiveXx, 100) });
    })
    .await;
    let begun = Instant::now();
    let request = Request::get("/").header("x-echo-status", "500");
    assert_eq!(Http::one(bind).send(request).await.expect("answered").status, 500);
    assert_eq!(upstreams[0].seen().len(), 101, "one at a time, of the three that are allowed");
    // With the usual pauses a hundred retries would take twelve seconds on average.
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn upstreams_are_told_the_number_of_the_attempt() {
    for (attempt_count, expected) in [(true, vec!["1", "2", "3"]), (false, vec![])] {
        let (_gateway, upstream, bind) = started(|server, _, route| {
            server.attempt_count = attempt_count;
            forward_of(route).retry = Some(RetryPolicy::new(RetryOn::FiveXx, 2));
        })
        .await;
        upstream.plan(vec![Answer::Status(500); 3]);
        let request = Request::get("/").header("x-envoy-attempt-count", "7");
        assert_eq!(Http::one(bind).send(request).await.expect("answered").status, 500);
        let seen = upstream.seen();
        let told = seen.iter().flat_map(|seen| &seen.headers);
        let told: Vec<_> = told
            .filter(|(name, _)| name == "x-envoy-attempt-count")
            .map(|(_, value)| value.as_str())
            .collect();
        assert_eq!((seen.len(), told), (3, expected));
    }
}
