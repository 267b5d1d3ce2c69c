use std::fs;
use std::time::{Duration, Instant};

use super::*;
use crate::sample::{connection, exchange, headers};

fn template(text: &str) -> Template {
    Template::parse(text).expect("a template")
}

fn json(typed: bool, fields: &[(&str, &str)]) -> Formatter {
    let fields = fields.iter().map(|(key, value)| ((*key).to_owned(), template(value))).collect();
    Formatter::new(&AccessLogFormat::Json { fields, typed })
}

fn line(formatter: &Formatter) -> String {
    let mut exchange = exchange(connection());
    exchange.kept_request = headers(&[("user-agent", "a \"quoted\" \\ one\t\u{e4}")]);
    exchange
        .kept_request
        .append("x-raw", http::HeaderValue::from_bytes(b"\xff<\xc3\xa4>\xc3").expect("opaque"));
    let mut out = b"before\n".to_vec();
    formatter.write(&Facts::of(&exchange), &mut out);
    String::from_utf8(out).expect("UTF-8").strip_prefix("before\n").expect("only added").to_owned()
}

#[test]
fn text_lines_end_once() {
    for text in ["%REQ(:METHOD)% %REQ(:PATH)%", "%REQ(:METHOD)% %REQ(:PATH)%\n"] {
        assert_eq!(line(&Formatter::new(&AccessLogFormat::Text(template(text)))), "GET /old?q=1\n");
    }
    assert_eq!(line(&Formatter::new(&AccessLogFormat::Text(template("")))), "\n");
}

const FIELDS: [(&str, &str); 7] = [
    ("b\"", "%RESPONSE_CODE%"),
    ("a", "%REQ(USER-AGENT)%"),
    ("flags", "%RESPONSE_FLAGS%"),
    ("mixed", "%RESPONSE_CODE%/%RESPONSE_FLAGS%"),
    ("raw", "%REQ(X-RAW)%"),
    ("short", "%REQ(:PATH):4%"),
    ("text", "x"),
];

#[test]
fn typed_json() {
    assert_eq!(
        line(&json(true, &FIELDS)),
        concat!(
            r#"{"b\"":200,"a":"a \"quoted\" \\ one\tä","flags":null,"mixed":"200/-","#,
            "\"raw\":\"\u{fffd}<ä>\u{fffd}\",\"short\":\"/old\",\"text\":\"x\"}\n"
        )
    );
    assert_eq!(line(&json(true, &[])), "{}\n");
}

#[test]
fn untyped_json_is_all_text() {
    let expected = "{\"b\\\"\":\"200\",\"a\":\"a \\\"quoted\\\" \\\\ one\\tä\",\"flags\":\"-\",";
    assert!(line(&json(false, &FIELDS)).starts_with(expected));
}

#[test]
fn control_bytes_are_escaped() {
    let mut out = Vec::new();
    json::string(b"\0\x1f\x7f\r\n", &mut out);
    assert_eq!(out, br#""\u0000\u001f\u007f\r\n""#);
}

#[test]
fn headers_to_keep() {
    let formatter = json(
        true,
        &[
            ("a", "%REQ(X-A?X-B)% %REQ(:PATH)% %REQ(x-a)%"),
            ("b", "%RESP(X-C?:status)%"),
            ("c", "%TRAILER(GRPC-STATUS)%"),
        ],
    );
    assert_eq!(formatter.kept_request(), ["x-a", "x-b"]);
    assert_eq!(formatter.kept_response(), ["x-c"]);
    assert_eq!(formatter.kept_trailers(), ["grpc-status"]);
}

fn await_text(path: &std::path::Path, expected: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let text = fs::read_to_string(path).unwrap_or_default();
        if text == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{text:?} instead of {expected:?}");
        std::thread::yield_now();
    }
}

#[test]
fn lines_reach_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("access.log");
    fs::write(&path, "earlier\n").expect("a file");
    let writer = LogWriter::open(path.to_str().expect("UTF-8")).expect("a writer");
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let lines = writer.lines();
            std::thread::spawn(move || {
                for _ in 0..5000 {
                    lines.push(|out| out.extend_from_slice(b"one whole line\n"));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
    assert_eq!(writer.dropped(), 0);
    writer.flush();
    let text = fs::read_to_string(&path).expect("a file");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("earlier"));
    assert_eq!(lines.filter(|line| *line == "one whole line").count(), 20_000);
    assert_eq!(text.lines().count(), 20_001);
}

#[test]
fn a_line_does_not_wait_for_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("access.log");
    let writer = LogWriter::open(path.to_str().expect("UTF-8")).expect("a writer");
    let lines = writer.lines();
    lines.push(|out| out.extend_from_slice(b"alone\n"));
    await_text(&path, "alone\n");
}

#[test]
fn a_dropped_writer_writes_what_it_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("access.log");
    let writer = LogWriter::open(path.to_str().expect("UTF-8")).expect("a writer");
    let (lines, key) = (writer.lines(), writer.key());
    lines.push(|out| out.extend_from_slice(b"last\n"));
    assert!(!lines.is_closed());
    drop(writer);
    await_text(&path, "last\n");
    let deadline = Instant::now() + Duration::from_secs(10);
    while !lines.is_closed() {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    assert_ne!(
        LogWriter::open("/dev/null").expect("a writer").key(),
        key,
        "lines of the old one are still there"
    );
}

#[test]
fn rotation() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, moved) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    let writer = LogWriter::open(path.to_str().expect("UTF-8")).expect("a writer");
    let lines = writer.lines();
    lines.push(|out| out.extend_from_slice(b"first\n"));
    await_text(&path, "first\n");
    fs::rename(&path, &moved).expect("a rename");
    writer.reopen();
    await_text(&path, "");
    lines.push(|out| out.extend_from_slice(b"second\n"));
    writer.flush();
    assert_eq!(fs::read_to_string(&path).expect("a file"), "second\n");
    assert_eq!(fs::read_to_string(&moved).expect("a file"), "first\n");
}

#[test]
fn what_cannot_be_written_is_counted() {
    let writer = LogWriter::open("/dev/full").expect("a writer");
    let lines = writer.lines();
    lines.push(|out| out.extend_from_slice(b"one\n"));
    lines.push(|out| out.extend_from_slice(b"two\n"));
    let deadline = Instant::now() + Duration::from_secs(10);
    while writer.dropped() < 2 {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    assert!(LogWriter::open("/no/such/folder/log").is_err());
}
