use plenipo_model::Template;

use super::*;
use crate::sample::{connection, exchange, fields, headers};

fn name(text: &str) -> HeaderName {
    HeaderName::from_bytes(text.as_bytes()).expect("a name")
}

fn add(text: &str, value: &str, append: bool) -> HeaderEdit {
    HeaderEdit { name: name(text), value: Template::parse(value).expect("a template"), append }
}

fn changed(edits: &HeaderEdits, side: Side, sent: &[(&str, &str)]) -> String {
    let exchange = exchange(connection());
    let mut headers = headers(sent);
    apply(edits, &mut headers, side, &Facts::of(&exchange));
    let mut fields: Vec<String> = fields(&headers).into_iter().map(|(n, v)| format!("{n}: {v}")).collect();
    fields.sort();
    fields.join("\n")
}

#[test]
fn removals_go_first() {
    let edits = HeaderEdits {
        remove: vec![name("a"), name("x-secret-*")],
        add: vec![add("a", "new", true), add("b", "2", true), add("c", "3", false)],
    };
    let sent = [("a", "old"), ("b", "1"), ("c", "1"), ("c", "2"), ("x-secret-1", "1"), ("x-secret", "1")];
    assert_eq!(changed(&edits, Side::Request, &sent), "a: new\nb: 1\nb: 2\nc: 3\nx-secret: 1");
}

#[test]
fn values_see_the_headers_under_change() {
    let edits = HeaderEdits {
        remove: vec![],
        add: vec![
            add("b", "%REQ(a)%%RESP(a)%!", false),
            add("c", "%REQ(b)%%RESP(b)%", false),
            add("d", "%REQ(none)%%RESP(none)%", false),
        ],
    };
    for side in [Side::Request, Side::Response] {
        assert_eq!(changed(&edits, side, &[("a", "1"), ("d", "stays")]), "a: 1\nb: 1!\nc: 1!\nd: stays");
    }
}

#[test]
fn framing_and_host_are_not_for_editing() {
    let names = ["host", "connection", "content-length", "te", "transfer-encoding", "upgrade"];
    let edits = HeaderEdits {
        remove: names.iter().map(|text| name(text)).chain([name("*"), name("c*")]).collect(),
        add: names.iter().map(|text| add(text, "evil", false)).collect(),
    };
    let sent = [("content-length", "1"), ("cookie", "a=1"), ("host", "a"), ("te", "trailers")];
    assert_eq!(changed(&edits, Side::Request, &sent), "content-length: 1\nhost: a\nte: trailers");
}

#[test]
fn numbers() {
    for given in [0, 7, 10, 3000, u64::MAX] {
        assert_eq!(number(given), *given.to_string());
    }
}
