use super::*;
use crate::sample::headers;

fn host(name: &str, port: Option<u16>) -> Host {
    Host { name: name.to_owned(), port }
}

#[test]
fn authorities() {
    for (text, expected) in [
        ("Example.COM", host("example.com", None)),
        ("a_b-c.d~e.:8080", host("a_b-c.d~e", Some(8080))),
        ("Example.com.", host("example.com", None)),
        ("192.0.2.1:1", host("192.0.2.1", Some(1))),
        ("[2001:DB8::1]", host("[2001:db8::1]", None)),
        ("[::1]:65535", host("[::1]", Some(65535))),
    ] {
        assert_eq!(parse_authority(text), Ok(expected), "{text}");
    }
    for text in [
        "",
        ":80",
        "a:",
        "a:0",
        "a:65536",
        "a:http",
        "a:+1",
        "a:1:2",
        "a b",
        " a",
        "a@b",
        "u:p@b",
        "a,b",
        "a/b",
        "a\\b",
        "a%62",
        "\u{e4}",
        "[::1",
        "::1",
        "[::1]x",
        "[::1]:",
        "[]",
        "[a]",
        "[fe80::1%eth0]",
        "a\tb",
        "a?b",
        "a#b",
        "*",
        ".",
        ".:80",
        "a..",
    ] {
        assert!(parse_authority(text).is_err(), "{text}");
    }
    assert!(parse_authority(&"a".repeat(256)).is_err());
}

#[test]
fn one_host_or_none() {
    let of = |version, uri: &str, fields: &[(&str, &str)]| {
        let uri: Uri = uri.parse().expect("a target");
        authority(version, &uri, &headers(fields)).map(str::to_owned).map_err(|refused| refused.details)
    };
    let h1 = |uri, fields: &[(&str, &str)]| of(Version::HTTP_11, uri, fields);
    assert_eq!(h1("/", &[("host", "A.b:80")]), Ok("A.b:80".to_owned()));
    assert_eq!(h1("/", &[]), Err("missing_host_header"));
    assert_eq!(h1("/", &[("host", "")]), Err("missing_host_header"));
    assert_eq!(h1("/", &[("host", "a"), ("host", "a")]), Err("several_host_headers"));
    assert_eq!(h1("/", &[("host", "\u{e4}")]), Err("host_invalid"));
    assert_eq!(h1("http://a.b/", &[("host", "A.B")]), Ok("a.b".to_owned()));
    assert_eq!(h1("http://a.b:80/", &[("host", "a.b")]), Ok("a.b:80".to_owned()));
    assert_eq!(h1("http://a.b:81/", &[("host", "a.b")]), Err("host_mismatch"));
    assert_eq!(h1("http://a.b/", &[("host", "c.d")]), Err("host_mismatch"));
    assert_eq!(h1("http://u@a.b/", &[("host", "a.b")]), Err("host_mismatch"));
    assert_eq!(h1("http://a.b/", &[]), Err("missing_host_header"));
    assert_eq!(of(Version::HTTP_10, "/", &[]), Err("missing_host_header"));
    let h2 = |uri, fields: &[(&str, &str)]| of(Version::HTTP_2, uri, fields);
    assert_eq!(h2("https://a.b/", &[]), Ok("a.b".to_owned()));
    assert_eq!(h2("https://a.b:443/", &[("host", "a.b")]), Ok("a.b:443".to_owned()));
    assert_eq!(h2("https://a.b/", &[("host", "c.d")]), Err("host_mismatch"));
    assert_eq!(h2("/", &[("host", "c.d")]), Ok("c.d".to_owned()));
    assert_eq!(h2("/", &[]), Err("missing_host_header"));
}
