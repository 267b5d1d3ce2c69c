use proptest::prelude::*;

use super::*;
use crate::fields::Fields;
use crate::sample::{fields, headers};

const EDGE: Forwarding = Forwarding { use_remote_address: true, trusted_hops: 0 };

fn peer(tls: bool) -> Peer {
    Peer { address: "203.0.113.7".parse().expect("an address"), tls }
}

fn behind(trusted_hops: u32) -> Forwarding {
    Forwarding { use_remote_address: true, trusted_hops }
}

fn inside(trusted_hops: u32) -> Forwarding {
    Forwarding { use_remote_address: false, trusted_hops }
}

#[test]
fn client_addresses() {
    let of = |forwarding, lines: &[&str]| {
        let fields: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
        client(forwarding, &headers(&fields), peer(false)).address.to_string()
    };
    let own = "203.0.113.7";
    assert_eq!(of(EDGE, &["1.1.1.1"]), own);
    assert_eq!(of(behind(1), &["1.1.1.1, 2.2.2.2"]), "2.2.2.2");
    assert_eq!(of(behind(2), &["1.1.1.1, 2.2.2.2"]), "1.1.1.1");
    assert_eq!(of(behind(2), &["1.1.1.1", "2.2.2.2"]), "1.1.1.1", "several lines are one list");
    assert_eq!(of(behind(2), &["", "1.1.1.1, 2.2.2.2", ""]), "1.1.1.1", "an empty line is no entry");
    assert_eq!(of(behind(3), &["0.0.0.1, 1.1.1.1 ", "2.2.2.2,3.3.3.3"]), "1.1.1.1");
    assert_eq!(of(behind(1), &["1.1.1.1, 10.0.0.1"]), "10.0.0.1", "private addresses are not skipped");
    assert_eq!(of(behind(1), &["1.1.1.1,2001:db8::1"]), "2001:db8::1");
    assert_eq!(of(inside(0), &["1.1.1.1, 2.2.2.2"]), "2.2.2.2");
    assert_eq!(of(inside(1), &["1.1.1.1, 2.2.2.2"]), "1.1.1.1");
    for unusable in [
        "",
        ",",
        "1.1.1.1,",
        "name",
        "1.1.1.1, name",
        "2.2.2.2:80",
        "[::1]",
        "1.1.1",
        "unknown",
        "1.1.1.1 2.2.2.2",
        "\"1.1.1.1\"",
        "01.1.1.1",
    ] {
        assert_eq!(of(behind(1), &[unusable]), own, "{unusable:?}");
        assert_eq!(of(inside(0), &[unusable]), own, "{unusable:?}");
    }
    assert_eq!(of(behind(3), &["1.1.1.1, 2.2.2.2"]), own, "too few entries");
    assert_eq!(of(behind(u32::MAX), &["1.1.1.1"]), own);
    assert_eq!(of(inside(2), &["1.1.1.1, 2.2.2.2"]), own);
    assert_eq!(of(behind(1), &[]), own);
}

#[test]
fn schemes() {
    let of = |forwarding, tls, lines: &[&str]| {
        let fields: Vec<_> = lines.iter().map(|line| ("x-forwarded-proto", *line)).collect();
        client(forwarding, &headers(&fields), peer(tls)).scheme
    };
    assert_eq!(of(EDGE, false, &["https"]), Some("http"));
    assert_eq!(of(EDGE, true, &["http"]), Some("https"));
    assert_eq!(of(EDGE, true, &[""]), Some("https"));
    for trusting in [behind(1), inside(0)] {
        assert_eq!(of(trusting, false, &["https"]), Some("https"));
        assert_eq!(of(trusting, true, &["http"]), Some("http"));
        assert_eq!(of(trusting, true, &[]), Some("https"));
        assert_eq!(of(trusting, false, &[]), Some("http"));
        assert_eq!(of(trusting, true, &[""]), None);
        for odd in [
            &["HTTPS"][..],
            &["wss"],
            &["https, http"],
            &["https,https"],
            &["https", "https"],
            &["", "https"],
        ] {
            assert_eq!(of(trusting, true, odd), Some("http"), "{odd:?}");
        }
    }
}

fn forwarded(forwarding: Forwarding, tls: bool, sent: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut headers = headers(sent);
    let client = client(forwarding, &headers, peer(tls));
    forward(&mut headers, forwarding, peer(tls), &client, &Connection::text(peer(tls).address));
    let mut fields = fields(&headers);
    fields.sort();
    fields
}

fn expected(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_edge_appends_and_overwrites() {
    assert_eq!(
        forwarded(EDGE, true, &[]),
        expected(&[
            ("x-envoy-external-address", "203.0.113.7"),
            ("x-forwarded-for", "203.0.113.7"),
            ("x-forwarded-proto", "https"),
        ])
    );
    assert_eq!(
        forwarded(
            EDGE,
            false,
            &[
                ("x-forwarded-for", "1.1.1.1"),
                ("x-forwarded-for", ""),
                ("x-forwarded-for", "spoofed, 2.2.2.2"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-proto", "https"),
                ("x-envoy-external-address", "9.9.9.9"),
            ]
        ),
        expected(&[
            ("x-envoy-external-address", "203.0.113.7"),
            ("x-forwarded-for", "1.1.1.1,spoofed, 2.2.2.2,203.0.113.7"),
            ("x-forwarded-proto", "http"),
        ])
    );
}

#[test]
fn a_trusted_proxy_is_believed() {
    let sent = [
        ("x-forwarded-for", "1.1.1.1, 2.2.2.2"),
        ("x-forwarded-port", "8443"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "a.b"),
        ("x-amzn-mtls-clientcert-subject", "CN=a"),
    ];
    assert_eq!(
        forwarded(behind(1), false, &sent),
        expected(&[
            ("x-amzn-mtls-clientcert-subject", "CN=a"),
            ("x-envoy-external-address", "2.2.2.2"),
            ("x-forwarded-for", "1.1.1.1, 2.2.2.2,203.0.113.7"),
            ("x-forwarded-host", "a.b"),
            ("x-forwarded-port", "8443"),
            ("x-forwarded-proto", "https"),
        ])
    );
    assert_eq!(
        forwarded(inside(0), false, &[("x-forwarded-for", "1.1.1.1"), ("x-envoy-decorator-operation", "x")]),
        expected(&[
            ("x-envoy-decorator-operation", "x"),
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-proto", "http"),
        ])
    );
}

#[test]
fn spoofed_fields_go() {
    let sent = [
        ("x-envoy-max-retries", "9"),
        ("x-envoy-original-path", "/"),
        ("x-envoy-whatever", "1"),
        ("x-amzn-mtls-clientcert", "c"),
        ("x-amzn-oidc-data", "c"),
        ("x-amzn-trace-id", "Root=1"),
        ("x-forwarded-host", "h"),
        ("x-forwarded-port", "1"),
        ("forwarded", "for=1.1.1.1"),
        ("x_forwarded_for", "1.1.1.1"),
        ("x_forwarded-client_cert", "Hash=1"),
        ("x-envoy_max_retries", "9"),
        ("x_amzn_mtls_clientcert", "9"),
        ("a_b", "kept"),
        ("x-real-ip", "kept"),
    ];
    let left: Vec<String> = forwarded(EDGE, true, &sent).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        left,
        [
            "a_b",
            "x-amzn-trace-id",
            "x-envoy-external-address",
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-real-ip"
        ]
    );
    let control = [("x-envoy-max-retries", "9"), ("x_forwarded_for", "1.1.1.1")];
    assert_eq!(forwarded(inside(0), true, &control), expected(&[("x-forwarded-proto", "https")]));
}

proptest! {
    /// With no trusted hop, no header whatever changes who the client is and how it came.
    #[test]
    fn an_untrusted_peer_cannot_lie(lines in prop::collection::vec("[ -~]{0,20}", 0..4), tls: bool) {
        let mut headers = Fields::new();
        for line in &lines {
            headers.append(FORWARDED_FOR, line.parse().expect("visible"));
            headers.append(FORWARDED_PROTO, line.parse().expect("visible"));
        }
        let client = client(EDGE, &headers, peer(tls));
        prop_assert_eq!(client.address, peer(tls).address);
        prop_assert_eq!(client.scheme, Some(if tls { "https" } else { "http" }));
        forward(&mut headers, EDGE, peer(tls), &client, &Connection::text(peer(tls).address));
        let list = headers[FORWARDED_FOR].to_str().expect("visible").to_owned();
        prop_assert!(list.ends_with("203.0.113.7"));
        // Whoever believes us by one hop finds what we found.
        let next = super::client(behind(1), &headers, peer(tls));
        prop_assert_eq!(next.address, client.address);
    }
}
