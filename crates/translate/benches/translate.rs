//! How long a change takes to become an edge, with ten thousand Mappings.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use plenipo_resources::{Origin, Set, SetBuilder, decode};
use plenipo_translate::{LastGood, Options, translate};
use serde_json::{Value, json};

fn add(builder: &mut SetBuilder, kind: &str, name: &str, spec: &Value) {
    let value = json!({"apiVersion": "getambassador.io/v3alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    for object in decode(value, Origin::Cluster).objects {
        builder.add(Arc::new(object));
    }
}

/// A listener, `hosts` Hosts and `mappings` Mappings, spread over them.
fn set(hosts: usize, mappings: usize) -> Set {
    builder(hosts, mappings).build()
}

/// The same objects, but for one Mapping.
fn changed(before: &Set, hosts: usize, mapping: usize) -> Set {
    let mut builder = SetBuilder::default();
    add_mapping(&mut builder, hosts, mapping, "other");
    before.with(builder.build().objects().iter().cloned())
}

fn builder(hosts: usize, mappings: usize) -> SetBuilder {
    let mut builder = SetBuilder::default();
    let binding = json!({"namespace": {"from": "ALL"}});
    let listener = json!({"port": 8443, "protocol": "HTTPS", "securityModel": "XFP", "hostBinding": binding});
    add(&mut builder, "Listener", "https", &listener);
    for host in 0..hosts {
        add(&mut builder, "Host", &format!("h{host}"), &json!({"hostname": format!("h{host}.example.com")}));
    }
    for mapping in 0..mappings {
        add_mapping(&mut builder, hosts, mapping, "service");
    }
    builder
}

fn add_mapping(builder: &mut SetBuilder, hosts: usize, mapping: usize, prefix: &str) {
    let spec = json!({
        "hostname": format!("h{}.example.com", mapping % hosts),
        "prefix": format!("/api/v1/{prefix}-{mapping}/"),
        "service": format!("service-{mapping}.apps:8080"),
        "timeout_ms": 5000,
    });
    add(builder, "Mapping", &format!("m{mapping}"), &spec);
}

fn translations(criterion: &mut Criterion) {
    let options = Options::default();
    for (hosts, mappings) in [(1, 100), (1, 10_000), (1000, 10_000)] {
        let set = set(hosts, mappings);
        let name = format!("{mappings} mappings, {hosts} hosts");
        criterion.bench_function(&name, |bencher| bencher.iter(|| translate(black_box(&set), &options)));
    }
}

/// One Mapping gets another prefix, and its old one again.
fn changes(criterion: &mut Criterion) {
    let options = Options::default();
    for (hosts, mappings) in [(1, 10_000), (1000, 10_000), (1000, 100_000)] {
        let set = set(hosts, mappings);
        let sets = [changed(&set, hosts, mappings / 2), set];
        let mut last_good = LastGood::default();
        // What was served before is dropped after what comes next is there, as in the gateway.
        let mut served = last_good.apply(&sets[1], &options);
        let mut turn = 0;
        let name = format!("one change of {mappings} mappings, {hosts} hosts");
        criterion.bench_function(&name, |bencher| {
            bencher.iter(|| {
                served = last_good.apply(black_box(&sets[turn % 2]), &options);
                turn += 1;
            });
        });
    }
}

criterion_group!(benches, translations, changes);
criterion_main!(benches);
