use super::*;
use crate::sample::{fields, headers};

fn stripped(sent: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut headers = headers(sent);
    strip_hop_by_hop(&mut headers);
    fields(&headers)
}

fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn what_ends_here() {
    assert_eq!(
        stripped(&[
            ("connection", "close, X-Hop ,"),
            ("connection", "other"),
            ("x-hop", "1"),
            ("other", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "close"),
            ("upgrade", "websocket"),
            ("transfer-encoding", "chunked"),
            ("te", "gzip"),
            ("x-kept", "1"),
        ]),
        pairs(&[("x-kept", "1")])
    );
    assert_eq!(stripped(&[("te", "gzip, Trailers")]), pairs(&[("te", "trailers")]));
    assert_eq!(stripped(&[("connection", "te"), ("te", "trailers")]), pairs(&[("te", "trailers")]));
}

#[test]
fn end_to_end_fields_cannot_be_nominated() {
    let kept = [
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-client-cert", "Hash=1"),
        ("host", "a"),
        ("authorization", "Bearer 1"),
        ("cookie", "a=1"),
        ("content-length", "3"),
        ("x-request-id", "1"),
    ];
    let nomination = "x-forwarded-for, X-Forwarded-Client-Cert, Host, authorization, cookie, content-length, \
                      x-request-id, :path, not a name, \"";
    assert_eq!(stripped(&[&kept[..], &[("connection", nomination)]].concat()), pairs(&kept));
}

#[test]
fn underscores() {
    let sent = [("a_b", "1"), ("c-d", "2")];
    let check = |policy| {
        let mut headers = headers(&sent);
        check_headers(&mut headers, policy).map(|()| fields(&headers))
    };
    assert_eq!(check(UnderscorePolicy::Allow), Ok(pairs(&sent)));
    assert_eq!(check(UnderscorePolicy::Drop), Ok(pairs(&sent[1..])));
    assert_eq!(check(UnderscorePolicy::Reject), Err(Refused::bad_request("unexpected_underscore")));
}

#[test]
fn expectations() {
    let check = |value| check_headers(&mut headers(&[("expect", value)]), UnderscorePolicy::Reject);
    assert_eq!(check("100-Continue"), Ok(()));
    for value in ["200-ok", "", "100-continue, x"] {
        assert_eq!(check(value).expect_err(value).status, StatusCode::EXPECTATION_FAILED);
    }
}

#[test]
fn limits() {
    let limits =
        HttpLimits { header_bytes: 100, header_fields: 2, target_bytes: 10, ..HttpLimits::default() };
    let check = |target, sent: &[(&str, &str)]| {
        check_limits(target, &headers(sent), &limits).map_err(|refused| refused.status.as_u16())
    };
    assert_eq!(check(10, &[("a", "1"), ("b", "2")]), Ok(()));
    assert_eq!(check(11, &[]), Err(414));
    assert_eq!(check(1, &[("a", "1"), ("a", "2"), ("b", "3")]), Err(431));
    assert_eq!(check(1, &[("aa", &"x".repeat(66))]), Ok(()));
    assert_eq!(check(1, &[("aa", &"x".repeat(67))]), Err(431));
}

#[test]
fn lengths() {
    let check = |values: &[&str]| {
        let sent: Vec<_> = values.iter().map(|value| ("content-length", *value)).collect();
        check_length(&headers(&sent)).is_ok()
    };
    assert!(check(&[]) && check(&["0"]) && check(&["18446744073709551615"]));
    for refused in [&[""][..], &["0", "0"], &["0, 0"], &["+0"], &["5 "]] {
        assert!(!check(refused), "{refused:?}");
    }
}
