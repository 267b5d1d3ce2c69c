//! Streams of HTTP/2 that must not become more, or other, than one request of HTTP/1.

use plenipo_testkit::Raw;

use super::Stage;
use super::recorder::Seen;
use crate::frames::{DATA, END_HEADERS, END_STREAM, HEADERS, RESET, fields, frame, opening};

type Field<'a> = (&'a [u8], &'a [u8]);

/// What becomes of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is this request to the upstream, and answered with 200.
    Request(&'static str),
    /// It is answered with 400.
    Bad,
    /// It is answered with another status than 200 and 400.
    Refused,
    /// It is reset. The upstream may have got the beginning of a request, whose connection has then ended.
    Reset,
    /// It is reset, but only after so much of it that it may have become this request.
    Overlong(&'static str),
}

use Fate::{Bad, Overlong, Refused, Request, Reset};

const METHOD: Field<'_> = (b":method", b"GET");
const POST: Field<'_> = (b":method", b"POST");
const SCHEME: Field<'_> = (b":scheme", b"http");
const AUTHORITY: Field<'_> = (b":authority", b"a");
const PATH: Field<'_> = (b":path", b"/~/x");

const GET: Fate = Request("GET /~/x ");

/// A GET with one more field.
const MORE: &[(&str, Field<'_>, Fate)] = &[
    ("CR LF in a value", (b"x", b"a\r\nx-smuggled: 1"), Reset),
    ("a request in a value", (b"x", b"a\r\n\r\nGET /~/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"), Reset),
    ("LF in a value", (b"x", b"a\nb"), Reset),
    ("CR in a value", (b"x", b"a\rb"), Reset),
    ("NUL in a value", (b"x", b"a\0b"), Reset),
    ("DEL in a value", (b"x", b"a\x7fb"), Reset),
    ("CR LF in a name", (b"x\r\ny", b"1"), Reset),
    ("a field in a name", (b"x: y\r\nhost: b\r\nz", b"1"), Reset),
    ("a coding in a name", (b"transfer-encoding: chunked\r\nx", b"1"), Reset),
    ("NUL in a name", (b"x\0", b"1"), Reset),
    ("a space in a name", (b"x y", b"1"), Reset),
    ("a space behind a name", (b"x ", b"1"), Reset),
    ("a tab behind a name", (b"transfer-encoding\t", b"chunked"), Reset),
    ("a colon in a name", (b"transfer-encoding:chunked", b"1"), Reset),
    ("a colon behind a name", (b"x:", b"1"), Reset),
    ("a name of nothing", (b"", b"1"), Reset),
    ("a name in capitals", (b"X-Upper", b"1"), Reset),
    ("a length in capitals", (b"Content-Length", b"0"), Reset),
    ("a name that is no ASCII", (b"x\xe4", b"1"), Reset),
    ("a second path", (b":path", b"/~/other"), Reset),
    ("a second method", (b":method", b"POST"), Reset),
    ("a second scheme", (b":scheme", b"https"), Reset),
    ("a second authority", (b":authority", b"b"), Reset),
    ("a status", (b":status", b"200"), Reset),
    ("an unknown pseudo field", (b":unknown", b"1"), Reset),
    ("a protocol that was not offered", (b":protocol", b"websocket"), Reset),
    ("connection", (b"connection", b"close"), Reset),
    ("connection that names a field", (b"connection", b"x-forwarded-for"), Reset),
    ("transfer-encoding", (b"transfer-encoding", b"chunked"), Reset),
    ("transfer-encoding of nothing", (b"transfer-encoding", b""), Reset),
    ("upgrade", (b"upgrade", b"websocket"), Reset),
    ("upgrade to h2c", (b"upgrade", b"h2c"), Reset),
    ("keep-alive", (b"keep-alive", b"1"), Reset),
    ("proxy-connection", (b"proxy-connection", b"1"), Reset),
    ("te of gzip", (b"te", b"gzip"), Reset),
    ("te of chunked", (b"te", b"trailers, chunked"), Reset),
    ("another host", (b"host", b"b"), Bad),
    ("a host with a line end", (b"host", b"a\r\nx: y"), Reset),
    ("a length, and no body", (b"content-length", b"5"), Reset),
    ("a length with plus", (b"content-length", b"+0"), Reset),
    ("a length of nothing", (b"content-length", b""), Bad),
    ("a length as a list", (b"content-length", b"0, 0"), Reset),
    ("a length in hexadecimal", (b"content-length", b"0x0"), Reset),
    ("a length that is negative", (b"content-length", b"-1"), Reset),
    ("a length beyond 64 bits", (b"content-length", b"18446744073709551616"), Reset),
    ("another expectation", (b"expect", b"magic"), Refused),
    ("a value that is a request", (b"x", b"GET /~/smuggled HTTP/1.1"), GET),
    ("the same host", (b"host", b"a"), GET),
    ("te of trailers", (b"te", b"trailers"), GET),
    ("a length of 0", (b"content-length", b"0"), GET),
    ("a coding with an underscore", (b"transfer_encoding", b"chunked"), GET),
];

/// Pseudo fields: method, path, authority.
const PSEUDO: &[(&str, [&[u8]; 3], Fate)] = &[
    ("a path of nothing", [b"GET", b"", b"a"], Reset),
    ("a path that is a word", [b"GET", b"x", b"a"], Reset),
    ("an asterisk", [b"GET", b"*", b"a"], Bad),
    ("a version in the path", [b"GET", b"/~/x HTTP/1.1\r\nx: y", b"a"], Reset),
    ("a request in the path", [b"GET", b"/~/x HTTP/1.1\r\nHost: a\r\n\r\nGET /~/smuggled", b"a"], Reset),
    ("a space in the path", [b"GET", b"/~/a b", b"a"], Reset),
    ("a tab in the path", [b"GET", b"/~/a\tb", b"a"], Reset),
    ("LF in the path", [b"GET", b"/~/a\nb", b"a"], Reset),
    ("NUL in the path", [b"GET", b"/~/a\0b", b"a"], Reset),
    ("a path that is no ASCII", [b"GET", b"/~/\xfc", b"a"], Reset),
    ("a fragment", [b"GET", b"/~/x#y", b"a"], Reset),
    ("an absolute path of another host", [b"GET", b"http://b/~/x", b"a"], Reset),
    ("NUL in the path, escaped", [b"GET", b"//b@c/~/%00", b"a"], Bad),
    ("a line end in the path, escaped", [b"GET", b"/~/%0d%0ax:%20y", b"a"], Request("GET /~/%0d%0ax:%20y ")),
    ("a line in the method", [b"GET /~/y HTTP/1.1\r\n", b"/~/x", b"a"], Reset),
    ("a space in the method", [b"GET /~/y", b"/~/x", b"a"], Reset),
    ("LF in the method", [b"GET\n", b"/~/x", b"a"], Reset),
    ("a method of nothing", [b"", b"/~/x", b"a"], Reset),
    ("CONNECT with a path", [b"CONNECT", b"/~/x", b"a"], Reset),
    ("a space in the authority", [b"GET", b"/~/x", b"a b"], Reset),
    ("CR LF in the authority", [b"GET", b"/~/x", b"a\r\nx: y"], Reset),
    ("a request in the authority", [b"GET", b"/~/x", b"a\r\n\r\nGET /~/smuggled HTTP/1.1\r\nhost: a"], Reset),
    ("a user in the authority", [b"GET", b"/~/x", b"u@a"], Bad),
    ("a path in the authority", [b"GET", b"/~/x", b"a/b"], Reset),
    ("a port that is a word", [b"GET", b"/~/x", b"a:port"], Bad),
    ("an authority of nothing", [b"GET", b"/~/x", b""], Reset),
    ("a method of one's own", [b"FROB", b"/~/x", b"a"], Request("FROB /~/x ")),
];

/// Whole blocks: what is missing, and what comes too late.
const BLOCKS: &[(&str, &[Field<'_>], Fate)] = &[
    ("no method", &[SCHEME, AUTHORITY, PATH], Reset),
    ("no path", &[METHOD, SCHEME, AUTHORITY], Reset),
    ("no scheme", &[METHOD, AUTHORITY, PATH], Reset),
    ("no authority", &[METHOD, SCHEME, PATH], Bad),
    ("a host instead", &[METHOD, SCHEME, PATH, (b"host", b"a")], GET),
    ("two hosts instead", &[METHOD, SCHEME, PATH, (b"host", b"a"), (b"host", b"b")], Bad),
    ("a field before the pseudo fields", &[(b"x", b"1"), METHOD, SCHEME, AUTHORITY, PATH], Reset),
    ("a field between the pseudo fields", &[METHOD, SCHEME, (b"x", b"1"), AUTHORITY, PATH], Reset),
    ("the path twice alike", &[METHOD, SCHEME, AUTHORITY, PATH, PATH], Reset),
    (
        "two lengths",
        &[METHOD, SCHEME, AUTHORITY, PATH, (b"content-length", b"0"), (b"content-length", b"5")],
        Reset,
    ),
    (
        "two lengths alike",
        &[METHOD, SCHEME, AUTHORITY, PATH, (b"content-length", b"0"), (b"content-length", b"0")],
        Bad,
    ),
    ("CONNECT", &[(b":method", b"CONNECT"), (b":authority", b"a:1")], Refused),
    ("nothing", &[], Reset),
];

/// A POST with these fields, in these pieces of DATA, and with these trailers.
type Posted<'a> = (&'a str, &'a [Field<'a>], &'a [&'a [u8]], &'a [Field<'a>], Fate);

const BODIES: &[Posted<'_>] = &[
    ("a body without a length", &[], &[b"abc"], &[], Request("POST /~/x abc")),
    ("a body with its length", &[(b"content-length", b"3")], &[b"a", b"bc"], &[], Request("POST /~/x abc")),
    (
        "a body with its length twice",
        &[(b"content-length", b"3"), (b"content-length", b"3")],
        &[b"abc"],
        &[],
        Bad,
    ),
    (
        "a body that is a request",
        &[],
        &[b"0\r\n\r\nGET /~/smuggled HTTP/1.1\r\n\r\n"],
        &[],
        Request("POST /~/x 0\r\n\r\nGET /~/smuggled HTTP/1.1\r\n\r\n"),
    ),
    (
        "a body longer than its length",
        &[(b"content-length", b"3")],
        &[b"abcGET /~/smuggled HTTP/1.1\r\n\r\n"],
        &[],
        Reset,
    ),
    (
        "a body longer, in two",
        &[(b"content-length", b"3")],
        &[b"abc", b"GET /~/smuggled HTTP/1.1\r\n\r\n"],
        &[],
        Overlong("POST /~/x abc"),
    ),
    ("a body shorter than its length", &[(b"content-length", b"5")], &[b"abc"], &[], Reset),
    (
        "a length of 0 and a body",
        &[(b"content-length", b"0")],
        &[b"GET /~/smuggled HTTP/1.1\r\n\r\n"],
        &[],
        Reset,
    ),
    ("trailers", &[], &[b"abc"], &[(b"x-sum", b"1")], Request("POST /~/x abc")),
    ("trailers that say a length", &[], &[b"abc"], &[(b"content-length", b"5")], Request("POST /~/x abc")),
    (
        "trailers that say a host",
        &[],
        &[b"abc"],
        &[(b"host", b"b"), (b"authorization", b"x")],
        Request("POST /~/x abc"),
    ),
    ("trailers that say a coding", &[], &[b"abc"], &[(b"transfer-encoding", b"chunked")], Reset),
    ("trailers with a pseudo field", &[], &[b"abc"], &[(b":path", b"/~/y")], Reset),
    ("trailers with a line end", &[], &[b"abc"], &[(b"x", b"1\r\n\r\nGET /~/smuggled HTTP/1.1")], Reset),
    ("trailers in capitals", &[], &[b"abc"], &[(b"X", b"1")], Reset),
];

/// How stream 1 is answered.
async fn answer(raw: &mut Raw) -> &'static str {
    let mut status = None;
    while let Ok(head) = raw.exactly(9).await {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let Ok(payload) = raw.exactly(length).await else { break };
        let is_its = head[5..9] == [0, 0, 0, 1];
        match head[3] {
            RESET if is_its => return status.unwrap_or("a reset"),
            // `:status` 200 and 400 in the static table (RFC 7541, appendix A).
            HEADERS if is_its && status.is_none() => {
                status = match payload.first() {
                    Some(0x88) => Some("200"),
                    Some(0x8c) => Some("400"),
                    _ => Some("another status"),
                }
            }
            _ => {}
        }
        if is_its && matches!(head[3], HEADERS | DATA) && head[4] & END_STREAM != 0 {
            break;
        }
    }
    status.unwrap_or("the connection's end")
}

/// A stream: the fields of its head, its pieces of DATA, its trailers.
struct Stream<'a> {
    head: Vec<Field<'a>>,
    body: &'a [&'a [u8]],
    trailers: &'a [Field<'a>],
}

/// Plays one stream, marked.
async fn play(stage: &mut Stage, stream: &Stream<'_>, fate: Fate) -> Result<(), String> {
    let mark = stage.mark();
    let mut raw = Raw::connect(stage.bind).await.expect("connected");
    raw.send([opening(&[]), stream.frames(&mark)].concat()).await.map_err(|error| format!("{error:#}"))?;
    let got = answer(&mut raw).await;
    let (expected, forwarded) = match fate {
        Request(request) => ("200", vec![request.replace('~', &mark)]),
        Bad => ("400", vec![]),
        Refused => ("another status", vec![]),
        Reset | Overlong(_) => ("a reset", vec![]),
    };
    let tolerated = match fate {
        Reset if !stream.body.is_empty() => vec![Seen::Cut],
        Overlong(request) => vec![Seen::Cut, Seen::Request(request.replace('~', &mark))],
        _ => vec![],
    };
    let settled = stage.settle(&mark, &forwarded, &tolerated).await;
    super::both(super::same("what became of it", &got, &expected), settled)
}

impl Stream<'_> {
    /// Its frames, with names and values marked.
    fn frames(&self, mark: &str) -> Vec<u8> {
        let marked = |text: &[u8]| -> Vec<u8> {
            let parts: Vec<&[u8]> = text.split(|byte| *byte == b'~').collect();
            parts.join(mark.as_bytes())
        };
        let block = |list: &[Field<'_>]| {
            let list: Vec<_> = list.iter().map(|(name, value)| (marked(name), marked(value))).collect();
            fields(&list.iter().map(|(name, value)| (&name[..], &value[..])).collect::<Vec<_>>())
        };
        let end_if = |last: bool| if last { END_STREAM } else { 0 };
        let mut bytes = frame(HEADERS, END_HEADERS | end_if(self.body.is_empty()), 1, &block(&self.head));
        for (at, piece) in self.body.iter().enumerate() {
            let last = at + 1 == self.body.len() && self.trailers.is_empty();
            bytes.extend(frame(DATA, end_if(last), 1, &marked(piece)));
        }
        if !self.trailers.is_empty() {
            bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(self.trailers)));
        }
        bytes
    }
}

#[tokio::test]
async fn streams_become_one_request_or_none() {
    let bodiless = |head| Stream { head, body: &[], trailers: &[] };
    let mut rows: Vec<(&str, Stream<'_>, Fate)> = Vec::new();
    rows.extend(
        MORE.iter().map(|(name, field, fate)| {
            (*name, bodiless(vec![METHOD, SCHEME, AUTHORITY, PATH, *field]), *fate)
        }),
    );
    rows.extend(PSEUDO.iter().map(|(name, [method, path, authority], fate)| {
        let head = vec![(&b":method"[..], *method), SCHEME, (b":authority", *authority), (b":path", *path)];
        (*name, bodiless(head), *fate)
    }));
    rows.extend(BLOCKS.iter().map(|(name, head, fate)| (*name, bodiless(head.to_vec()), *fate)));
    rows.extend(BODIES.iter().map(|(name, more, body, trailers, fate)| {
        let head = [&[POST, SCHEME, AUTHORITY, PATH], *more].concat();
        (*name, Stream { head, body, trailers }, *fate)
    }));
    let mut stage = Stage::start(|_| {}).await;
    let mut wrong = Vec::new();
    for (name, stream, fate) in rows {
        if let Err(why) = play(&mut stage, &stream, fate).await {
            wrong.push(format!("{name}: {why}"));
            stage.upstream.take();
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
