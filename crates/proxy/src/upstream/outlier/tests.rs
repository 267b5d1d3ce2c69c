use std::net::SocketAddr;

use plenipo_model::{Cluster, Endpoint, Endpoints, Source};

use super::*;
use crate::fields::Fields;

const SECOND: Duration = Duration::from_secs(1);

fn address(last: u8) -> SocketAddr {
    ([10, 0, 0, last], 80).into()
}

fn of(count: u8, rules: OutlierDetection) -> Arc<Upstream> {
    let endpoints = Endpoints::addresses((1..=count).map(address));
    let cluster = Cluster::new("up", Source::new("test"), endpoints);
    Upstream::build(&Arc::new(Cluster { outlier: Some(rules), ..cluster }), None)
}

/// All may go.
fn rules() -> OutlierDetection {
    OutlierDetection { max_ejection_percent: 100, ..OutlierDetection::default() }
}

fn hear(upstream: &Upstream, last: u8, heard: &[Heard]) {
    heard.iter().for_each(|heard| upstream.live.heard(address(last), *heard));
}

/// The last bytes of the addresses that are out.
fn out(upstream: &Upstream) -> Vec<u8> {
    let set = upstream.endpoints().expect("set");
    let out = set.endpoints.iter().filter(|endpoint| endpoint.is_ejected());
    out.map(|endpoint| if let SocketAddr::V4(v4) = endpoint.address { v4.ip().octets()[3] } else { 0 })
        .collect()
}

fn numbers(upstream: &Upstream) -> OutlierNumbers {
    upstream.live.outliers.as_ref().expect("some").numbers(upstream.endpoints().as_deref())
}

const ANSWERED: Heard = Heard::Status(200);
const FAILED: Heard = Heard::Status(500);
const UNAVAILABLE: Heard = Heard::Status(503);

/// Which of the two thresholds (five 5xx, three gateway errors) a course of events reaches first.
#[tokio::test(start_paused = true)]
async fn failures_in_a_row_count_and_a_good_answer_begins_anew() {
    use Heard::{Connection, Failure, Silence, Status};
    let rules = OutlierDetection { consecutive_gateway: Some(3), ..rules() };
    let cases: [(&[Heard], [u64; 3]); 9] = [
        (&[FAILED; 4], [0, 0, 0]),
        (&[FAILED; 5], [1, 0, 0]),
        (&[FAILED, FAILED, FAILED, FAILED, ANSWERED, FAILED], [0, 0, 0]),
        (&[FAILED, FAILED, FAILED, FAILED, Status(404), FAILED], [0, 0, 0]),
        (&[UNAVAILABLE, Status(502), Status(504)], [0, 1, 0]),
        (&[UNAVAILABLE, UNAVAILABLE, FAILED, UNAVAILABLE], [0, 0, 0]),
        (&[UNAVAILABLE, UNAVAILABLE, FAILED, UNAVAILABLE, UNAVAILABLE], [1, 0, 0]),
        // Failures without an answer are 503, silence 504.
        (&[Failure, Silence, Failure], [0, 1, 0]),
        (&[Failure, Silence, Connection, Failure, Silence], [0, 0, 0]),
    ];
    for (heard, expected) in cases {
        let upstream = of(2, rules.clone());
        hear(&upstream, 1, heard);
        assert_eq!(numbers(&upstream).enforced, expected, "{heard:?}");
        assert_eq!(out(&upstream).len() as u64, expected.iter().sum::<u64>(), "{heard:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn failures_of_our_side_are_counted_apart_where_that_is_wanted() {
    use Heard::{Connection, Failure, Silence};
    let rules = OutlierDetection {
        split_local_origin: true,
        consecutive_local_origin: Some(3),
        consecutive_5xx: Some(3),
        ..rules()
    };
    let cases: [(&[Heard], [u64; 3]); 6] = [
        (&[Failure, Silence, Failure], [0, 0, 1]),
        (&[Failure, Silence, FAILED, Failure], [0, 0, 0]),
        (&[Failure, Silence, Connection, Failure], [0, 0, 0]),
        (&[FAILED, FAILED, Failure, FAILED], [1, 0, 0]),
        (&[FAILED, FAILED, Connection, FAILED], [1, 0, 0]),
        (&[FAILED, FAILED, Failure, Silence], [0, 0, 0]),
    ];
    for (heard, expected) in cases {
        let upstream = of(2, rules.clone());
        hear(&upstream, 1, heard);
        assert_eq!(numbers(&upstream).enforced, expected, "{heard:?}");
    }
}

/// Put out at 3 s, looked for every 10 s: back at the first look after 30 s, then after 60 s, and so on.
#[tokio::test(start_paused = true)]
async fn each_time_out_is_longer_and_quiet_intervals_make_it_shorter() {
    let upstream = of(2, rules());
    let begun = Instant::now();
    let course = async {
        let mut moments = Vec::new();
        let mut offend = async |at: u64| {
            tokio::time::sleep_until(begun + SECOND * u32::try_from(at).expect("soon")).await;
            hear(&upstream, 1, &[FAILED; 5]);
            assert_eq!(out(&upstream), [1]);
            while !out(&upstream).is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            moments.push(begun.elapsed().as_secs());
        };
        offend(3).await; // 30 s
        offend(43).await; // 60 s
        offend(113).await; // 90 s
        // Looked at 220, 230: two of three offences are forgiven.
        offend(235).await; // 60 s
        // Three looks forgive all.
        offend(335).await; // 30 s
        moments
    };
    let moments = tokio::select! {
        moments = course => moments,
        () = watch(Arc::clone(&upstream)) => unreachable!("it watches for ever"),
    };
    assert_eq!(moments, [40, 110, 210, 300, 370]);
}

#[tokio::test(start_paused = true)]
async fn no_time_out_is_longer_than_the_longest() {
    for (base, expected) in [(SECOND * 200, [200, 300, 300]), (SECOND * 400, [400, 400, 400])] {
        let upstream = of(2, OutlierDetection { base_ejection: base, interval: SECOND, ..rules() });
        let set = upstream.endpoints().expect("set");
        let outliers = upstream.live.outliers.as_ref().expect("some");
        for seconds in expected {
            hear(&upstream, 1, &[FAILED; 5]);
            tokio::time::sleep(SECOND * seconds - Duration::from_millis(1)).await;
            outliers.review(&set);
            assert_eq!(out(&upstream), [1], "{seconds}");
            tokio::time::sleep(Duration::from_millis(1)).await;
            outliers.review(&set);
            assert_eq!(out(&upstream), [0; 0], "{seconds}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_so_many_go_at_a_time() {
    // Of so many endpoints, with so many percent, so many are put out when all offend.
    for (count, percent, expected) in
        [(1, 10, 0), (1, 100, 1), (2, 10, 1), (2, 0, 1), (10, 10, 1), (10, 29, 2), (10, 30, 3), (3, 100, 3)]
    {
        let upstream = of(count, OutlierDetection { max_ejection_percent: percent, ..rules() });
        (1..=count).for_each(|last| hear(&upstream, last, &[FAILED; 5]));
        let numbers = numbers(&upstream);
        assert_eq!(numbers.active, expected, "{count} endpoints, {percent} %");
        assert_eq!((numbers.enforced[0], numbers.overflows), (expected, u64::from(count) - expected));
        assert_eq!(numbers.detected[0], u64::from(count));
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_stayed_is_counted_anew_and_one_that_is_out_is_not_counted() {
    let upstream = of(2, OutlierDetection { max_ejection_percent: 50, ..rules() });
    hear(&upstream, 1, &[FAILED; 20]);
    assert_eq!(numbers(&upstream).detected[0], 1, "what comes in late counts for nothing");
    hear(&upstream, 2, &[FAILED; 14]);
    assert_eq!((numbers(&upstream).overflows, out(&upstream)), (2, vec![1]));
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_has_to_fail_as_often_again() {
    let upstream = of(2, rules());
    hear(&upstream, 1, &[FAILED; 9]);
    tokio::time::sleep(SECOND * 30).await;
    upstream.live.outliers.as_ref().expect("some").review(&upstream.endpoints().expect("set"));
    hear(&upstream, 1, &[FAILED; 4]);
    assert_eq!(out(&upstream), [0; 0]);
    hear(&upstream, 1, &[FAILED]);
    assert_eq!(out(&upstream), [1]);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_stays_stays_out_whatever_its_weight() {
    let upstream = of(3, rules());
    hear(&upstream, 1, &[FAILED; 5]);
    hear(&upstream, 2, &[FAILED; 5]);
    upstream.live.set(&[Endpoint { weight: 7, ..Endpoint::at(address(1)) }, Endpoint::at(address(3))]);
    assert_eq!(out(&upstream), [1]);
    hear(&upstream, 2, &[FAILED; 5]);
    assert_eq!(numbers(&upstream).detected[0], 2, "it is gone");
    upstream.live.set(&[1, 2, 3].map(|last| Endpoint::at(address(last))));
    assert_eq!(out(&upstream), [1], "who comes again begins again");
}

#[tokio::test(start_paused = true)]
async fn health_checks_and_outlier_detection_both_have_to_be_content() {
    let upstream = of(2, rules());
    let set = upstream.endpoints().expect("set");
    let endpoint = &set.endpoints[0];
    hear(&upstream, 1, &[FAILED; 5]);
    endpoint.set_healthy(false);
    endpoint.set_healthy(true);
    assert!(!endpoint.healthy());
    endpoint.set_healthy(false);
    endpoint.set_ejected(false);
    assert!(!endpoint.healthy());
    endpoint.set_healthy(true);
    assert!(endpoint.healthy());
}

#[test]
fn threads_count_together_and_one_of_them_decides() {
    let upstream = of(8, OutlierDetection { max_ejection_percent: 25, ..rules() });
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for turn in 0..4_000u32 {
                    hear(&upstream, (turn % 8) as u8 + 1, &[FAILED]);
                }
            });
        }
    });
    let numbers = numbers(&upstream);
    assert_eq!((numbers.active, numbers.enforced[0]), (2, 2));
    assert!(numbers.overflows > 0);
}

#[test]
fn grpc_statuses_are_http_statuses() {
    for (grpc, http) in
        [(0, 200), (1, 499), (2, 500), (4, 504), (8, 429), (13, 500), (14, 503), (16, 401), (99, 500)]
    {
        assert_eq!(Heard::of_grpc(grpc), Heard::Status(http));
    }
}

#[test]
fn of_a_grpc_call_its_status_counts_wherever_it_comes() {
    let heard = |status: u16, fields: &[(&'static str, &'static str)]| {
        let mut headers = Fields::new();
        for (name, value) in fields {
            headers.insert(*name, http::HeaderValue::from_static(value));
        }
        Heard::in_head(StatusCode::from_u16(status).expect("a status"), &headers)
    };
    let grpc = ("content-type", "application/grpc+proto");
    assert_eq!(heard(200, &[grpc]), None, "it comes in the trailers");
    assert_eq!(heard(200, &[grpc, ("grpc-status", "14")]), Some(UNAVAILABLE));
    assert_eq!(heard(200, &[grpc, ("grpc-status", "0")]), Some(ANSWERED));
    assert_eq!(heard(503, &[grpc]), Some(UNAVAILABLE));
    assert_eq!(heard(503, &[grpc, ("grpc-status", "0")]), Some(UNAVAILABLE));
    assert_eq!(heard(200, &[("content-type", "text/plain")]), Some(ANSWERED));
    assert_eq!(heard(200, &[]), Some(ANSWERED));
}
