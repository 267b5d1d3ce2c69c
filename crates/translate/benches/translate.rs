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
    let mut builder = SetBuilder::default();
    let binding = json!({"namespace": {"from": "ALL"}});
    let listener = json!({"port": 8443, "protocol": "HTTPS", "securityModel": "XFP", "hostBinding": binding});
    add(&mut builder, "Listener", "https", &listener);
    for host in 0..hosts {
        add(&mut builder, "Host", &format!("h{host}"), &json!({"hostname": format!("h{host}.example.com")}));
    }
    for mapping in 0..mappings {
        let spec = json!({
            "hostname": format!("h{}.example.com", mapping % hosts),
            "prefix": format!("/api/v1/service-{mapping}/"),
            "service": format!("service-{mapping}.apps:8080"),
            "timeout_ms": 5000,
        });
        add(&mut builder, "Mapping", &format!("m{mapping}"), &spec);
    }
    builder.build()
}

fn translations(criterion: &mut Criterion) {
    let options = Options::default();
    for (hosts, mappings) in [(1, 100), (1, 10_000), (1000, 10_000)] {
        let set = set(hosts, mappings);
        let name = format!("{mappings} mappings, {hosts} hosts");
        criterion.bench_function(&name, |bencher| bencher.iter(|| translate(black_box(&set), &options)));
        let mut last_good = LastGood::default();
        criterion.bench_function(&format!("{name}, last good"), |bencher| {
            bencher.iter(|| last_good.apply(black_box(&set), &options));
        });
    }
}

criterion_group!(benches, translations);
criterion_main!(benches);
