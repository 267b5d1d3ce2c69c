//! Answers of a hostile upstream: what is sent to one client must not reach the next, whatever it is.

use plenipo_testkit::Raw;

use super::recorder::Planned;
use super::{NEXT, Stage, both, message, same};

/// What the client gets.
#[derive(Debug, Clone, Copy)]
enum Told {
    /// This status and this body.
    Whole(u16, &'static str),
    /// An answer of the gateway's own, with this status.
    Own(u16),
    /// The answer of a second try: the first was on a connection that may have been too old, and nothing speaks against
    /// asking again for what is only read.
    Again,
    /// An answer without its end.
    Broken,
}

use Told::{Again, Broken, Own, Whole};

/// Behind these bytes the connection goes on, as far as the upstream is concerned.
const STAYS: bool = false;
/// Behind these bytes the upstream ends the connection.
const ENDS: bool = true;

/// An answer that somebody would take for his, were it left on a connection.
macro_rules! poisoned {
    ($answer:literal) => {
        concat!($answer, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
    };
}

/// An answer in chunks, which these bytes are meant to be.
macro_rules! chunks {
    ($chunks:literal) => {
        concat!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", $chunks)
    };
}

/// An answer with these fields and the body `mine`.
macro_rules! fields {
    ($fields:literal) => {
        concat!("HTTP/1.1 200 OK\r\n", $fields, "\r\n\r\nmine")
    };
}

const MINE: Told = Whole(200, "mine");

/// Name, answer to a GET, whether the connection ends behind it, what the client gets.
const ANSWERS: &[(&str, &str, bool, Told)] = &[
    ("an answer", fields!("Content-Length: 4"), STAYS, MINE),
    ("bytes behind a length", poisoned!("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine"), STAYS, MINE),
    (
        "bytes behind a length of 0",
        poisoned!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        STAYS,
        Whole(200, ""),
    ),
    ("one byte behind a length", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmineX", STAYS, MINE),
    ("an end of line behind a length", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine\r\n", STAYS, MINE),
    (
        "bytes behind chunks",
        poisoned!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nmine\r\n0\r\n\r\n"),
        STAYS,
        MINE,
    ),
    ("bytes behind 204", poisoned!("HTTP/1.1 204 No Content\r\n\r\n"), STAYS, Whole(204, "")),
    (
        "204 with a length",
        poisoned!("HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\n"),
        STAYS,
        Whole(204, ""),
    ),
    (
        "204 with chunks",
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n6\r\npoison\r\n0\r\n\r\n",
        STAYS,
        Whole(204, ""),
    ),
    (
        "bytes behind 304",
        poisoned!("HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\n"),
        STAYS,
        Whole(304, ""),
    ),
    (
        "two answers, each whole",
        "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nnoHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        STAYS,
        Whole(404, "no"),
    ),
    (
        "an answer split by a field",
        "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        STAYS,
        Whole(302, ""),
    ),
    (
        "HTTP/1.0 with a length and more",
        poisoned!("HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nmine"),
        STAYS,
        MINE,
    ),
    (
        "HTTP/1.0 that goes on",
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\nmine",
        STAYS,
        MINE,
    ),
    ("until the end", "HTTP/1.1 200 OK\r\n\r\nmine", ENDS, MINE),
    ("until the end, said so", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nmine", ENDS, MINE),
    (
        "length and chunks",
        poisoned!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        STAYS,
        Own(502),
    ),
    (
        "chunks and length",
        poisoned!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
        STAYS,
        Own(502),
    ),
    ("two lengths", fields!("Content-Length: 4\r\nContent-Length: 2"), STAYS, Own(502)),
    ("two lengths as a list", fields!("Content-Length: 4, 2"), STAYS, Own(502)),
    ("two lengths alike", fields!("Content-Length: 4\r\nContent-Length: 4"), STAYS, MINE),
    ("a length with minus", fields!("Content-Length: -1"), STAYS, Own(502)),
    ("a length with plus", fields!("Content-Length: +4"), STAYS, Own(502)),
    ("a length in hexadecimal", fields!("Content-Length: 0x4"), STAYS, Own(502)),
    ("a length of nothing", fields!("Content-Length: "), STAYS, Own(502)),
    ("a length beyond 64 bits", fields!("Content-Length: 18446744073709551620"), STAYS, Own(502)),
    ("another coding", fields!("Transfer-Encoding: xchunked"), ENDS, MINE),
    ("chunked, identity", fields!("Transfer-Encoding: chunked, identity"), ENDS, MINE),
    (
        "chunks in HTTP/1.0",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nmine\r\n0\r\n\r\n",
        STAYS,
        Own(502),
    ),
    ("chunk size with plus", chunks!("+4\r\nmine\r\n0\r\n\r\n"), STAYS, Broken),
    ("chunk size 0x", chunks!("0x4\r\nmine\r\n0\r\n\r\n"), STAYS, Broken),
    ("chunk size beyond 64 bits", chunks!("10000000000000004\r\nmine\r\n0\r\n\r\n"), STAYS, Broken),
    ("chunk size, then bare LF", chunks!("4\nmine\r\n0\r\n\r\n"), STAYS, Broken),
    ("chunk without its end", chunks!("4\r\nmine0\r\n\r\n"), STAYS, Broken),
    ("chunk that is longer", chunks!("2\r\nmine\r\n0\r\n\r\n"), STAYS, Broken),
    ("chunk extension with bare LF", chunks!("4;a\nb\r\nmine\r\n0\r\n\r\n"), STAYS, Broken),
    ("chunks that break off", chunks!("4\r\nmi"), ENDS, Broken),
    ("chunks without the last", chunks!("4\r\nmine\r\n"), ENDS, Broken),
    ("a body that breaks off", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nmine", ENDS, Broken),
    (
        "trailers that frame",
        chunks!(
            "4\r\nmine\r\n0\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a=1\r\n\r\n"
        ),
        STAYS,
        MINE,
    ),
    ("a trailer that is none", chunks!("4\r\nmine\r\n0\r\nHTTP/1.1 200 OK\r\n\r\n"), STAYS, Broken),
    ("NUL in a value", fields!("X: a\0b\r\nContent-Length: 4"), STAYS, Own(502)),
    ("bare CR in a value", fields!("X: a\rb\r\nContent-Length: 4"), STAYS, Own(502)),
    ("a field without a colon", fields!("no colon\r\nContent-Length: 4"), STAYS, Own(502)),
    ("a space before the colon", fields!("Content-Length : 2\r\nContent-Length: 4"), STAYS, Own(502)),
    ("a space before the name", fields!(" Content-Length: 2\r\nContent-Length: 4"), STAYS, Own(502)),
    ("a folded field", fields!("Content-Length: 4\r\nX: a\r\n b"), STAYS, Own(502)),
    ("a folded length", fields!("Content-Length:\r\n 4"), STAYS, Own(502)),
    ("a name of nothing", fields!(": x\r\nContent-Length: 4"), STAYS, Own(502)),
    ("NUL in the reason", "HTTP/1.1 200 O\0K\r\nContent-Length: 4\r\n\r\nmine", STAYS, Own(502)),
    ("HTTP/2.0", "HTTP/2.0 200 OK\r\nContent-Length: 4\r\n\r\nmine", STAYS, Own(502)),
    ("HTTP/3.7", "HTTP/3.7 200 OK\r\nContent-Length: 4\r\n\r\nmine", STAYS, Own(502)),
    ("a status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 4\r\n\r\nmine", STAYS, Own(502)),
    ("a status of four digits", "HTTP/1.1 2000 OK\r\nContent-Length: 4\r\n\r\nmine", STAYS, Own(502)),
    ("a status below 100", "HTTP/1.1 099 OK\r\nContent-Length: 4\r\n\r\nmine", STAYS, Own(502)),
    ("a status that is a word", "HTTP/1.1 two hundred\r\n\r\n", STAYS, Own(502)),
    ("another protocol", "SSH-2.0-OpenSSH_9.9\r\n\r\n", STAYS, Own(502)),
    ("an alert of TLS", "\u{15}\u{3}\u{1}\0\u{2}\u{2}\u{46}", STAYS, Own(502)),
    ("HTTP/0.9", "<html>mine</html>\r\n\r\n", ENDS, Own(502)),
    (
        "101 that nobody asked for",
        poisoned!("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
        STAYS,
        Own(502),
    ),
    (
        "100 before",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine",
        STAYS,
        MINE,
    ),
    (
        "100 with a body",
        "HTTP/1.1 100 Continue\r\nContent-Length: 6\r\n\r\npoisonHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine",
        STAYS,
        Own(502),
    ),
    (
        "103 behind",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmineHTTP/1.1 103 Early Hints\r\n\r\n",
        STAYS,
        MINE,
    ),
    ("bare LF", "HTTP/1.1 200 OK\nContent-Length: 4\n\nmine", STAYS, MINE),
    ("nothing", "", ENDS, Again),
    ("half a head", "HTTP/1.1 200 OK\r\nContent-Le", ENDS, Again),
];

/// As [`ANSWERS`], to requests that begin like this.
const OTHERS: &[(&str, &str, &str, bool, Told)] = &[
    ("HEAD", "HEAD ", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", STAYS, Whole(200, "")),
    (
        "HEAD with a body",
        "HEAD ",
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        STAYS,
        Whole(200, ""),
    ),
    ("HEAD with chunks", "HEAD ", chunks!("6\r\npoison\r\n0\r\n\r\n"), STAYS, Whole(200, "")),
    (
        "HEAD with another answer",
        "HEAD ",
        poisoned!("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"),
        STAYS,
        Whole(200, ""),
    ),
    ("nothing for what may change something", "POST ", "", ENDS, Own(503)),
    ("half a head for what may change something", "POST ", "HTTP/1.1 200 OK\r\nCont", ENDS, Own(503)),
];

impl Stage {
    /// One answer, which this request gets.
    async fn answered(&mut self, request: &str, planned: Planned, told: Told) -> Result<(), String> {
        let mark = self.mark();
        self.upstream.plan(planned);
        let marked = |text: &str| text.replace('~', &mark);
        let bytes = format!("{request}/~/x HTTP/1.1\r\nHost: a\r\n\r\n{NEXT}");
        let answers = Raw::exchange(self.bind, marked(&bytes)).await.map_err(|error| format!("{error:#}"))?;
        let is_head = |at: usize| at == 0 && request == "HEAD ";
        let got = message::responses(&answers, is_head).ok().map(|mut got| {
            // What the gateway says of itself is no matter here.
            got.iter_mut().filter(|(status, _)| *status >= 500).for_each(|(_, text)| text.clear());
            got
        });
        let own = marked(&format!("{request}/~/x "));
        let (first, times) = match told {
            Whole(status, body) => (Some((status, body.to_owned())), 1),
            Own(status) => (Some((status, String::new())), 1),
            Again => (Some((200, own.clone())), 2),
            Broken => (None, 1),
        };
        let mut forwarded = vec![own; times];
        let next = marked("GET /~/next ");
        let expected = first.map(|first| vec![first, (200, next.clone())]);
        if expected.is_some() {
            forwarded.push(next);
        }
        let answered = same("the answers", &got, &expected);
        both(answered, self.settle(&mark, &forwarded, &[]).await)
    }
}

#[tokio::test]
async fn what_an_upstream_says_to_one_is_not_heard_by_another() {
    let mut rows: Vec<_> =
        ANSWERS
            .iter()
            .map(|(name, answer, ends, told)| (*name, "GET ", (*answer).to_owned(), *ends, *told))
            .chain(OTHERS.iter().map(|(name, method, answer, ends, told)| {
                (*name, *method, (*answer).to_owned(), *ends, *told)
            }))
            .collect();
    let hint = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
    for (times, told) in [(8, MINE), (9, Own(502)), (1000, Own(502))] {
        let answer = format!("{}{}", hint.repeat(times), fields!("Content-Length: 4"));
        rows.push(("a flood of hints", "GET ", answer, STAYS, told));
    }
    let mut stage = Stage::start(|_| {}).await;
    let mut wrong = Vec::new();
    for (name, method, answer, ends, told) in rows {
        let planned = Planned { bytes: answer.into_bytes(), early: false, ends };
        if let Err(why) = stage.answered(method, planned, told).await {
            wrong.push(format!("{name}: {why}"));
            stage.upstream.take();
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Who is answered before its request has come to its end still sends that request, and nothing of it is another.
#[tokio::test]
async fn an_early_answer_leaves_the_rest_of_the_request_a_rest() {
    let hidden = "GET /~/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for framing in ["Content-Length: 41\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n29\r\n"] {
        let end = if framing.contains("chunked") { "\r\n0\r\n\r\n" } else { "" };
        let mut stage = Stage::start(|_| {}).await;
        let mark = stage.mark();
        let marked = |text: &str| text.replace('~', &mark);
        let answer = fields!("Content-Length: 4").as_bytes().to_vec();
        stage.upstream.plan(Planned { bytes: answer, early: true, ends: false });
        let mut raw = Raw::connect(stage.bind).await.expect("connected");
        raw.send(marked(&format!("POST /~/x HTTP/1.1\r\nHost: a\r\n{framing}"))).await.expect("sent");
        assert!(raw.response().await.expect("answered").ends_with("mine"), "{framing:?}");
        raw.send(marked(&format!("{hidden}{end}{NEXT}"))).await.expect("sent");
        let rest = message::responses(&raw.to_end().await.expect("answered"), |_| false);
        let forwarded = [format!("POST /~/x {hidden}"), "GET /~/next ".to_owned()].map(|text| marked(&text));
        assert_eq!(rest, Ok(vec![(200, forwarded[1].clone())]), "{framing:?}");
        stage.settle(&mark, &forwarded, &[]).await.expect("nothing else");
    }
}
