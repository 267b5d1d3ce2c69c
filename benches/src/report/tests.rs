use std::collections::BTreeMap;

use super::{failures, load_line, made, tables, with_tables};
use crate::results::{
    Beside, Counted, Entry, Fairness, FairnessSample, IdleSample, InstructionsSample, Latency, Layout,
    LoadSamples, LookupSample, Measured, Results, RoutesSample, Sample, Threads, ThreadsSample, Turn, Work,
};
use crate::scenario::Scenario;

fn sample(microseconds: f64) -> Sample {
    Sample { microseconds, rate: 1000.0, p50: None, p99: None }
}

fn load(ours: &[f64], nginx: &[f64]) -> LoadSamples {
    let of = |numbers: &[f64]| numbers.iter().copied().map(sample).collect::<Vec<_>>();
    let samples = BTreeMap::from([("plenipo".to_owned(), of(ours)), ("nginx".to_owned(), of(nginx))]);
    LoadSamples { samples, failed: BTreeMap::from([("envoy".to_owned(), "it ended".to_owned())]) }
}

fn entry(measured: Measured) -> Entry {
    Entry {
        time: 1_795_289_906,
        build: "0123abcd".to_owned(),
        machine: "one".to_owned(),
        versions: BTreeMap::new(),
        seconds: 2,
        measured,
    }
}

fn page(scenario: Scenario, measured: Measured) -> String {
    tables(&Results { scenarios: BTreeMap::from([(scenario.name(), entry(measured))]) })
}

#[test]
fn ratios_are_of_the_same_round() {
    let line = load_line(Scenario::A, &load(&[10.0, 40.0], &[20.0, 40.0]), "0123abcd");
    assert_eq!(line, "| a HTTP/1.1 | 25.0 | – | – | 30.0 | 2 | 0123abcd | failed | – | 0.50/0.75/1.00 |\n");
}

#[test]
fn the_page_says_which_build_a_row_is_of() {
    let mut one = entry(Measured::Idle(vec![]));
    assert_eq!(made(&one), "0123abcd 2026-11-21");
    one.build.clear();
    assert_eq!(made(&one), "earlier 2026-11-21");
}

#[test]
fn a_proxy_that_failed_is_named_with_the_reason() {
    let failed = BTreeMap::from([("nginx".to_owned(), "no such file".to_owned())]);
    assert_eq!(failures("b", &failed), "\nb, nginx: not measured further: no such file\n");
    let text = page(Scenario::A, Measured::Load(load(&[1.0], &[2.0])));
    assert!(text.contains("a, envoy: not measured further: it ended"), "{text}");
}

#[test]
fn tables_stand_between_the_markers() {
    let page = "before\n<!-- measured: begin -->\nold\n<!-- measured: end -->\nafter\n";
    let expected = "before\n<!-- measured: begin -->\nnew\n<!-- measured: end -->\nafter\n";
    assert_eq!(with_tables(page, "new\n").ok().as_deref(), Some(expected));
    assert!(with_tables("nothing", "new").is_err());
}

#[test]
fn missed_targets_are_listed_with_their_numbers() {
    let text = page(Scenario::A, Measured::Load(load(&[13.0], &[10.0])));
    assert!(text.contains("### Targets: 0 met, 1 missed"), "{text}");
    assert!(text.contains("| a / nginx | 0.88 | 1.30 |"), "{text}");
    let text = page(Scenario::A, Measured::Load(load(&[8.0], &[10.0])));
    assert!(text.contains("### Targets: 1 met, 0 missed"), "{text}");
    let tls = IdleSample { peer: "plenipo".to_owned(), tls: true, base: 0, each: 11.9 };
    assert!(page(Scenario::H, Measured::Idle(vec![tls])).contains("| h, KiB per TLS connection | 10 | 12 |"));
}

#[test]
fn routes_with_their_price_in_memory() {
    let sample = |routes: usize, memory: u64, change: f64| RoutesSample {
        peer: "plenipo".to_owned(),
        routes,
        microseconds: vec![10.0],
        start: 1.0,
        change: vec![change],
        memory,
    };
    let text =
        page(Scenario::I, Measured::Routes(vec![sample(10_000, 90_000, 12.0), sample(1, 20_000, 2.0)]));
    assert!(text.contains("| 10000 | plenipo | 10.0 | 1 | 12/12/12 | 88 | 7.0 |"), "{text}");
    assert!(text.contains("| ms until a change among 10000 routes serves | 10 | 12 |"), "{text}");
    let found = LookupSample { layout: Layout::OneHost, routes: 100, instructions: 512.4 };
    assert!(page(Scenario::Lookup, Measured::Lookup(vec![found])).contains("| 100 | – | 512 | – |"));
}

#[test]
fn instructions_workers_and_fairness_have_tables_of_their_own() {
    let count = |peer: &str, instructions: f64| InstructionsSample {
        row: "a".to_owned(),
        peer: peer.to_owned(),
        instructions,
    };
    let counted =
        Counted { samples: vec![count("plenipo", 10_000.0), count("nginx", 20_000.0)], ..Counted::default() };
    let text = page(Scenario::Instructions, Measured::Instructions(counted));
    assert!(text.contains("| a | 10000 | – | – | 20000 | – | – | 0.50 |"), "{text}");
    assert!(text.contains("| instructions of row a / nginx | 0.4 | 0.50 |"), "{text}");

    let workers = |workers: usize, rate: f64, busiest: f64| ThreadsSample {
        work: Work::Requests,
        peer: "plenipo".to_owned(),
        workers,
        turns: vec![Turn { rate, per_cpu_second: 50_000.0, busiest }],
    };
    let shaken = ThreadsSample { work: Work::Handshakes, ..workers(2, 900.0, 0.5) };
    let threads = Threads {
        samples: vec![workers(1, 30_000.0, 1.0), workers(2, 45_000.0, 0.6), shaken],
        ..Threads::default()
    };
    let text = page(Scenario::Threads, Measured::Threads(threads));
    assert!(
        text.contains("| requests | plenipo | 30000 | 45000 | 1.50 | 50000 | 50000 | 1.00 | 60/60/60 % |"),
        "{text}"
    );
    assert!(
        text.contains("| handshakes, RSA-4096 | plenipo | – | 900 | – | – | 50000 | – | 50/50/50 % |"),
        "{text}"
    );

    let latencies = vec![Latency { p50: 100, p99: 900 }];
    let light = FairnessSample { peer: "haproxy".to_owned(), beside: Beside::Streams, latencies };
    let fairness = Fairness { samples: vec![light], ..Fairness::default() };
    let text = page(Scenario::Fairness, Measured::Fairness(fairness));
    assert!(text.contains("| beside 1,000 busy streams | – | – | 100 / 900 | – |"), "{text}");
}
