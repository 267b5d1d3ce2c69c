//! Messages as they are on the wire, and answers of every kind.

use prost::Message as _;

use super::super::message::{AppendAction, BoolValue, HeaderField, HttpStatus, OkHttpResponse, Status};
use super::*;
use crate::fields::Fields;

fn wire(response: &CheckResponse) -> Vec<u8> {
    let message = response.encode_to_vec();
    let mut bytes = vec![0];
    bytes.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(&message);
    bytes
}

fn option(key: &str, value: &str, append: Option<bool>, action: AppendAction) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderField { key: key.into(), value: value.into(), raw_value: Bytes::new() }),
        append: append.map(|value| BoolValue { value }),
        append_action: action as i32,
    }
}

fn says(code: i32, http_response: Option<HttpResponse>) -> Answer {
    let status = Some(Status { code, message: String::new() });
    read(&wire(&CheckResponse { status, http_response })).expect("an answer")
}

#[test]
fn a_yes_changes_the_request() {
    use AppendAction::{AddIfAbsent, AppendIfExistsOrAdd, OverwriteIfExists};
    let ok = OkHttpResponse {
        headers: vec![
            option("x-set", "new", None, AppendIfExistsOrAdd),
            option("x-more", "2", Some(true), AppendIfExistsOrAdd),
            option("x-there", "new", None, AddIfAbsent),
            option("x-absent", "new", None, OverwriteIfExists),
            option("host", "evil.test", None, AppendIfExistsOrAdd),
            option("content-length", "9", None, AppendIfExistsOrAdd),
            option(":path", "/evil", None, AppendIfExistsOrAdd),
            option("x-broken", "a\nb", None, AppendIfExistsOrAdd),
        ],
        headers_to_remove: vec!["x-gone".into(), "host".into(), "bad name".into()],
        response_headers_to_add: vec![option("x-client", "1", None, AppendIfExistsOrAdd)],
    };
    let Answer::Yes(changes) = says(0, Some(HttpResponse::Ok(ok))) else { panic!("a no") };
    let mut headers = Fields::new();
    for (name, value) in [
        ("host", "a.test"),
        ("x-set", "old"),
        ("x_set", "forged"),
        ("x-more", "1"),
        ("x-there", "old"),
        ("x-gone", "1"),
        ("x-broken", "forged"),
    ] {
        headers.insert(name, value.parse().unwrap());
    }
    changes.apply(&mut headers);
    let values =
        |name: &str| headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(values("host"), ["a.test"]);
    assert_eq!((values("x-set"), values("x-more")), (vec!["new"], vec!["1", "2"]));
    assert_eq!((values("x-there"), values("x-absent"), values("x-gone")), (vec!["old"], vec![], vec![]));
    assert_eq!(headers.len(), 5);
    assert_eq!(changes.response["x-client"], "1");
}

#[test]
fn a_no_is_told_as_it_says() {
    let denied = DeniedHttpResponse {
        status: Some(HttpStatus { code: 429 }),
        headers: vec![option("retry-after", "3", None, AppendAction::AppendIfExistsOrAdd)],
        body: "later".into(),
    };
    for code in [0, 7, 16] {
        let Answer::No(refused) = says(code, Some(HttpResponse::Denied(denied.clone()))) else {
            panic!("a yes")
        };
        assert_eq!((refused.status.as_u16(), &*refused.body), (429, &b"later"[..]));
        assert_eq!(refused.headers["retry-after"], "3");
    }
    for (code, http) in [(7, None), (5, Some(HttpResponse::Ok(OkHttpResponse::default())))] {
        let Answer::No(refused) = says(code, http) else { panic!("a yes") };
        assert_eq!(refused.status.as_u16(), 403);
    }
    let odd = DeniedHttpResponse { status: Some(HttpStatus { code: 7 }), ..DeniedHttpResponse::default() };
    let Answer::No(refused) = says(7, Some(HttpResponse::Denied(odd))) else { panic!("a yes") };
    assert_eq!(refused.status.as_u16(), 403);
    assert!(matches!(says(0, None), Answer::Yes(_)));
}

#[test]
fn what_is_no_message_is_no_answer() {
    for bytes in
        [&b""[..], b"\0\0\0", b"\x01\0\0\0\0", b"\0\0\0\0\x05ab", b"\0\0\0\0\0x", b"\0\0\0\0\x02\x0a\x7f"]
    {
        assert!(read(bytes).is_err(), "{bytes:?}");
    }
}

/// With a certificate that nobody checked, anybody could be called anything.
#[test]
fn only_a_verified_certificate_says_who_asks() {
    let parts = Request::from(http::Request::get("/").body(()).unwrap()).head;
    let context = std::collections::BTreeMap::new();
    for (verified, principal) in [(true, "spiffe://example.com/client"), (false, "")] {
        let mut connection = crate::sample::certified_connection();
        connection.tls.as_mut().unwrap().client_verified = verified;
        let exchange = crate::sample::exchange(connection);
        let question =
            Question { exchange: &exchange, parts: &parts, body: None, partial: false, context: &context };
        let source = attributes(&question, false).attributes.unwrap().source.unwrap();
        assert_eq!(source.principal, principal);
        assert!(!source.certificate.is_empty(), "the service may look for itself");
    }
}
