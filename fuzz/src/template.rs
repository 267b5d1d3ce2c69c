//! Templates, as header values and as access-log lines.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderValue, Method, Version};
use plenipo_model::{AccessLogFormat, Template};
use plenipo_proxy::access_log::Formatter;
use plenipo_proxy::exchange::{Connection, Exchange};
use plenipo_proxy::fields::Fields;
use plenipo_proxy::render::{Facts, render, render_header};

/// A line of template; what follows is a header value that the template may show.
///
/// A parsed template is filled in without a panic, a log line is one line, and a JSON line is JSON with the key given.
pub fn template(input: &[u8]) {
    let (text, shown) = input.split_at(input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len()));
    let Ok(text) = std::str::from_utf8(text) else { return };
    let literal = Template::literal(text);
    assert_eq!(literal.as_literal(), Some(text));
    assert_eq!(
        Template::parse(&literal.to_string()).as_ref().map(Template::segments),
        Ok(literal.segments())
    );
    let Ok(template) = Template::parse(text) else { return };
    let exchange = exchange(shown);
    let facts = Facts::of(&exchange);
    let mut line = Vec::new();
    render(&template, &facts, &mut line);
    if let Some(value) = render_header(&template, &facts) {
        assert!(!value.is_empty());
    }
    for typed in [false, true] {
        let fields = vec![(text.to_owned(), template.clone()), ("b".to_owned(), template.clone())];
        let formatter = Formatter::new(&AccessLogFormat::Json { fields, typed });
        let mut line = Vec::new();
        formatter.write(&facts, &mut line);
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        let object: serde_json::Value = serde_json::from_slice(&line).expect("a JSON line");
        assert!(object.get(text).is_some() && object.get("b").is_some());
    }
}

fn exchange(shown: &[u8]) -> Exchange {
    let address: SocketAddr = ([203, 0, 113, 7], 51000).into();
    let mut kept = Fields::new();
    if let Ok(value) = HeaderValue::from_bytes(shown.get(1..).unwrap_or_default()) {
        kept.insert("x", value);
    }
    let connection = Connection {
        id: 1,
        direct: address,
        peer: address,
        peer_text: Connection::text(address.ip()),
        local: address,
        declared_port: 443,
        tls: None,
    };
    Exchange {
        client: address.ip(),
        connection: Rc::new(connection),
        started: UNIX_EPOCH + Duration::new(1_767_323_045, 678_901_234),
        begun: tokio::time::Instant::now(),
        method: Method::GET,
        version: Version::HTTP_11,
        scheme: "http",
        authority: "a.b".to_owned(),
        original_path: "/".to_owned(),
        sent_path: None,
        identity: None,
        request_id: Some(HeaderValue::from_static("1")),
        route: None,
        target: None,
        cluster: None,
        upstream: None,
        upstream_local: None,
        upstream_failure: None,
        upstream_time: None,
        request_sent_after: None,
        status: 200,
        flags: "",
        details: "via_upstream",
        added: None,
        bytes_received: 0,
        bytes_sent: 0,
        grpc_status: Some(u16::from(shown.len() as u8)),
        kept_response: kept.clone(),
        kept_trailers: kept.clone(),
        kept_request: kept,
    }
}
