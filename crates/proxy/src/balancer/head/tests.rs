use http::{HeaderName, HeaderValue, Request};
use plenipo_model::ClientCertificateFields;
use proptest::prelude::*;

use super::*;
use crate::message;
use crate::sample::{certified_connection, connection};

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_.~-]{1,12}",
        Just("host".to_owned()),
        Just("x-forwarded-for".to_owned()),
        Just("x-forwarded-proto".to_owned()),
        Just("x-forwarded-port".to_owned()),
        Just("x-amzn-trace-id".to_owned()),
        Just("x-amzn-mtls-clientcert-subject".to_owned()),
        Just("connection".to_owned()),
        Just("expect".to_owned()),
    ]
}

fn values() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[a-z0-9.:]{0,20}".prop_map(String::into_bytes),
        "(Root=|Self=|;|a=b|x-forwarded-proto,|1.2.3.4, ?){0,8}".prop_map(String::into_bytes),
        proptest::collection::vec(prop_oneof![0x20..0x7fu8, 0x80..=0xffu8], 0..40),
    ]
}

fn rules() -> impl Strategy<Value = BalancerRules> {
    let modes =
        prop_oneof![Just(ForwardedFor::Append), Just(ForwardedFor::Preserve), Just(ForwardedFor::Remove)];
    (modes, any::<[bool; 5]>()).prop_map(|(forwarded_for, [port, host, drop, verified, classic])| {
        BalancerRules {
            forwarded_for,
            client_port: port,
            preserve_host: host,
            drop_invalid_fields: drop,
            client_certificate: match verified {
                true => ClientCertificateFields::verified(),
                false => ClientCertificateFields::passthrough(),
            },
            ..if classic { BalancerRules::classic() } else { BalancerRules::application() }
        }
    })
}

#[test]
fn addresses_have_their_forms() {
    let list = |peer: &str, client_port| {
        let peer = crate::sample::address(peer);
        let connection =
            Connection { peer, peer_text: Connection::text(peer.ip()), ..crate::sample::connection() };
        let request = Request::get("/").header("host", "a").header("x-forwarded-for", "::1").body(());
        let mut parts = message::Request::from(request.expect("valid")).head;
        let rules = BalancerRules { client_port, ..BalancerRules::application() };
        understand(&rules, &HttpLimits::balancer(), &connection, &Random::new(), &mut parts).expect("sound");
        parts.headers["x-forwarded-for"].to_str().expect("text").to_owned()
    };
    for (peer, client_port, expected) in [
        ("192.0.2.1:5", false, "::1, 192.0.2.1"),
        ("192.0.2.1:5", true, "::1, 192.0.2.1:5"),
        ("[2001:db8::7]:5", false, "::1, 2001:db8::7"),
        ("[2001:db8::7]:5", true, "::1, [2001:db8::7]:5"),
    ] {
        assert_eq!(list(peer, client_port), expected);
    }
}

#[test]
fn http10_without_a_host_is_for_the_address_it_came_to() {
    for (local, name, written) in [
        ("192.0.2.1:8443", "192.0.2.1", "192.0.2.1"),
        ("[2001:db8::1]:8443", "[2001:db8::1]", "[2001:db8::1]"),
        ("[::ffff:192.0.2.1]:8443", "192.0.2.1", "192.0.2.1"),
    ] {
        let connection = Connection { local: crate::sample::address(local), ..connection() };
        let request = Request::get("/").version(Version::HTTP_10).body(()).expect("valid");
        let mut parts = message::Request::from(request).head;
        let (rules, limits) = (BalancerRules::application(), HttpLimits::balancer());
        let understood = understand(&rules, &limits, &connection, &Random::new(), &mut parts);
        assert_eq!(understood.expect("sound").0.name, name);
        assert_eq!(parts.headers["host"], written);
    }
}

proptest! {
    /// Whatever is sent: what the balancer answers for is said once, by the balancer.
    #[test]
    fn nobody_speaks_for_the_balancer(
        rules in rules(),
        fields in proptest::collection::vec((names(), values()), 0..12),
        target in "/[!-~]{0,20}",
        tls in any::<bool>(),
    ) {
        let Ok(request) = Request::get(target).body(()) else { return Ok(()) };
        let mut parts = message::Request::from(request).head;
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a token");
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                parts.headers.append(name, value);
            }
        }
        let connection = if tls { certified_connection() } else { connection() };
        let before = parts.clone();
        let limits = HttpLimits::balancer();
        let understood = understand(&rules, &limits, &connection, &Random::new(), &mut parts);
        let Ok((host, client)) = understood else { return Ok(()) };
        let all = |name: &str| parts.headers.get_all(name).iter().cloned().collect::<Vec<_>>();
        let scheme = if tls { "https" } else { "http" };
        prop_assert_eq!(all("x-forwarded-proto"), [scheme]);
        prop_assert_eq!(all("x-forwarded-port"), ["443"]);
        prop_assert_eq!((client.scheme, client.address), (Some(scheme), connection.peer.ip()));
        let told = all("x-amzn-mtls-clientcert-subject");
        prop_assert!(told.iter().all(|value| tls && value.to_str().expect("text").contains("client")), "{told:?}");
        match rules.forwarded_for {
            ForwardedFor::Append => {
                let list = all("x-forwarded-for");
                prop_assert_eq!(list.len(), 1);
                let last = String::from_utf8_lossy(list[0].as_bytes()).rsplit(", ").next().map(str::to_owned);
                prop_assert!(last.is_some_and(|last| last.starts_with("203.0.113.7")), "{list:?}");
            }
            ForwardedFor::Preserve => prop_assert_eq!(
                all("x-forwarded-for"),
                before.headers.get_all("x-forwarded-for").iter().cloned().collect::<Vec<_>>()
            ),
            ForwardedFor::Remove => prop_assert!(all("x-forwarded-for").is_empty()),
        }
        prop_assert!(!host.name.is_empty());
        prop_assert_eq!(parts.uri, before.uri, "paths are not touched");
    }
}
