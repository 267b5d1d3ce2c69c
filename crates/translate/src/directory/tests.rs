use plenipo_resources::{Origin, SetBuilder, decode};
use serde_json::{Value, json};

use super::*;

fn endpoint(address: &str, conditions: Value, zones: &[&str]) -> Value {
    let zones: Vec<_> = zones.iter().map(|zone| json!({ "name": zone })).collect();
    let mut endpoint = json!({ "addresses": [address], "hints": { "forZones": zones } });
    endpoint["conditions"] = conditions;
    endpoint
}

/// Last numbers of the addresses that a gateway in a zone sends requests to.
fn chosen(zone: &str, endpoints: &[Value]) -> Vec<u8> {
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "s-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "s"}},
        "ports": [{"name": "", "port": 8080}], "endpoints": endpoints,
    });
    let mut set = SetBuilder::default();
    let objects = decode(slice, Origin::Cluster).objects.into_iter().map(Arc::new);
    objects.for_each(|object| set.add(object));
    let set = set.build();
    let mut slices = Slices::default();
    slices.follow(&Changes::between(&Set::default(), &set));
    match Directory::new(&set, &slices, zone).located("shop", "s", 80, DnsFamily::V4) {
        Lookup::Found(found) => {
            let last = |located: &Located<'_>| match located.address.ip() {
                IpAddr::V4(ip) => ip.octets()[3],
                IpAddr::V6(_) => 0,
            };
            found.iter().map(last).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_terminates_gets_nothing_while_others_are_ready() {
    let ready = endpoint("10.0.0.1", json!({"ready": true, "serving": true, "terminating": false}), &[]);
    let unknown = endpoint("10.0.0.2", json!({}), &[]);
    let terminating =
        endpoint("10.0.0.3", json!({"ready": false, "serving": true, "terminating": true}), &[]);
    let gone = endpoint("10.0.0.4", json!({"ready": false, "serving": false, "terminating": true}), &[]);
    assert_eq!(chosen("", &[ready, unknown, terminating.clone(), gone.clone()]), [1, 2]);
    assert_eq!(chosen("", &[terminating, gone.clone()]), [3]);
    assert_eq!(chosen("", &[gone]), [0; 0]);
}

#[test]
fn hints_hold_when_all_have_them_and_one_is_for_us() {
    let ready = || json!({ "ready": true });
    let [a, b, both] = [
        endpoint("10.0.0.1", ready(), &["a"]),
        endpoint("10.0.0.2", ready(), &["b"]),
        endpoint("10.0.0.3", ready(), &["a", "b"]),
    ];
    let all = [a.clone(), b.clone(), both];
    assert_eq!(chosen("a", &all), [1, 3]);
    assert_eq!(chosen("b", &all), [2, 3]);
    assert_eq!(chosen("", &all), [1, 2, 3], "nobody knows where we are");
    assert_eq!(chosen("c", &all), [1, 2, 3], "none is for us");
    let untold = endpoint("10.0.0.4", ready(), &[]);
    assert_eq!(chosen("a", &[a, b, untold]), [1, 2, 4], "one says nothing");
}
