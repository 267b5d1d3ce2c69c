//! Requests of HTTP/1.1 that two servers could read differently, and what becomes of each. `~` is the mark of the turn,
//! five characters long; behind every request follows [`super::NEXT`].

use super::Verdict::{self, After, Cut, Declined, Last, Passes, Refused};

/// Name, bytes, verdict.
pub(super) type Row = (&'static str, &'static str, Verdict);

/// A POST with these fields and this body.
macro_rules! post {
    ($fields:literal, $body:literal) => {
        concat!("POST /~/x HTTP/1.1\r\nHost: a\r\n", $fields, "\r\n\r\n", $body)
    };
}

/// A GET with these fields.
macro_rules! get {
    ($fields:literal) => {
        concat!("GET /~/x HTTP/1.1\r\nHost: a\r\n", $fields, "\r\n\r\n")
    };
}

/// A POST in chunks, which these bytes are meant to be.
macro_rules! chunks {
    ($chunks:literal) => {
        post!("Transfer-Encoding: chunked", $chunks)
    };
}

/// A POST in this coding, which may hide a request.
macro_rules! coded {
    ($coding:literal) => {
        concat!(
            "POST /~/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:",
            $coding,
            "\r\n\r\n0\r\n\r\nGET /~/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        )
    };
}

/// What a body of one chunk `abc` becomes.
const ABC: Verdict = Passes(&["POST /~/x abc"]);
/// A GET without a body.
const GET: Verdict = Passes(&["GET /~/x "]);
const BAD: Verdict = Refused(400);

/// A length and a coding; lengths that contradict, or are no numbers.
pub(super) const LENGTHS: &[Row] = &[
    ("CL.TE", post!("Content-Length: 6\r\nTransfer-Encoding: chunked", "0\r\n\r\nG"), BAD),
    (
        "TE.CL",
        post!(
            "Transfer-Encoding: chunked\r\nContent-Length: 4",
            "29\r\nGET /~/smuggled HTTP/1.1\r\nHost: a\r\n\r\n\r\n0\r\n\r\n"
        ),
        BAD,
    ),
    ("CL.TE without chunks", post!("Content-Length: 5\r\nTransfer-Encoding: chunked", "hello"), BAD),
    ("CL 0 and TE", post!("Content-Length: 0\r\nTransfer-Encoding: chunked", "0\r\n\r\n"), BAD),
    ("CL and TE that is unknown", post!("Content-Length: 5\r\nTransfer-Encoding: x", "hello"), BAD),
    ("CL and TE that is empty", post!("Content-Length: 5\r\nTransfer-Encoding:", "hello"), BAD),
    ("CL and TE folded", post!("Content-Length: 5\r\nTransfer-Encoding:\r\n chunked", "hello"), BAD),
    (
        "CL and TE behind bare LF",
        post!("Content-Length: 5\r\nX: y\nTransfer-Encoding: chunked", "hello"),
        BAD,
    ),
    (
        "CL and TE behind bare CR",
        post!("Content-Length: 5\r\nX: y\rTransfer-Encoding: chunked", "hello"),
        BAD,
    ),
    (
        "CL and TE with a space before the colon",
        post!("Content-Length: 5\r\nTransfer-Encoding : chunked", "hello"),
        BAD,
    ),
    ("CL and TE with NUL", post!("Content-Length: 5\r\nTransfer-Encoding\0: chunked", "hello"), BAD),
    (
        "CL and TE with an underscore",
        post!("Content-Length: 5\r\nTransfer_Encoding: chunked", "hello"),
        Passes(&["POST /~/x hello"]),
    ),
    (
        "TE and CL with an underscore",
        post!("Transfer-Encoding: chunked\r\nContent_Length: 5", "3\r\nabc\r\n0\r\n\r\n"),
        ABC,
    ),
    (
        "CL and a hyphen that is none",
        post!("Content-Length: 5\r\nTransfer\u{2010}Encoding: chunked", "hello"),
        BAD,
    ),
    ("CL twice alike", post!("Content-Length: 5\r\nContent-Length: 5", "hello"), BAD),
    ("CL twice", post!("Content-Length: 5\r\ncontent-length: 6", "hello!"), BAD),
    (
        "CL 0 and another",
        post!("Content-Length: 0\r\nContent-Length: 41", "GET /~/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"),
        BAD,
    ),
    ("CL as a list of equals", post!("Content-Length: 5, 5", "hello"), BAD),
    ("CL as a list", post!("Content-Length: 5, 6", "hello!"), BAD),
    ("CL as a list with nothing", post!("Content-Length: ,5", "hello"), BAD),
    ("CL with plus", post!("Content-Length: +5", "hello"), BAD),
    ("CL with minus", post!("Content-Length: -1", "hello"), BAD),
    ("CL minus nothing", post!("Content-Length: -0", ""), BAD),
    ("CL hexadecimal", post!("Content-Length: 0x5", "hello"), BAD),
    ("CL in hexadecimal digits", post!("Content-Length: a", "hello"), BAD),
    ("CL with a space inside", post!("Content-Length: 5 5", "hello"), BAD),
    ("CL empty", post!("Content-Length: ", "hello"), BAD),
    ("CL of spaces", post!("Content-Length:    ", "hello"), BAD),
    ("CL with a tab behind", post!("Content-Length: 5\t", "hello"), BAD),
    ("CL with a vertical tab", post!("Content-Length: \u{b}5", "hello"), BAD),
    ("CL with NUL", post!("Content-Length: 5\0", "hello"), BAD),
    ("CL with a fraction", post!("Content-Length: 5.0", "hello"), BAD),
    ("CL with an exponent", post!("Content-Length: 1e1", "hello"), BAD),
    ("CL with a separator", post!("Content-Length: 1_0", "hello"), BAD),
    ("CL in quotes", post!("Content-Length: \"5\"", "hello"), BAD),
    ("CL with a parameter", post!("Content-Length: 5;a=b", "hello"), BAD),
    ("CL in full-width digits", post!("Content-Length: \u{ff15}", "hello"), BAD),
    ("CL beyond 63 bits", post!("Content-Length: 9223372036854775808", "hello"), BAD),
    ("CL beyond 64 bits", post!("Content-Length: 18446744073709551621", "hello"), BAD),
    ("CL, tab before the colon", post!("Content-Length\t: 5", "hello"), BAD),
    ("CL, space before the colon", post!("Content-Length : 5", "hello"), BAD),
    ("CL, space before the name", post!(" Content-Length: 5", "hello"), BAD),
    ("CL folded", post!("Content-Length:\r\n 5", "hello"), BAD),
    ("CL without a colon", post!("Content-Length 5", "hello"), BAD),
    ("CL behind bare LF", post!("X: y\nContent-Length: 5", "hello"), BAD),
    ("CL behind bare CR", post!("X: y\rContent-Length: 5", "hello"), BAD),
    ("CL with zeroes before", post!("Content-Length: 005", "hello"), Passes(&["POST /~/x hello"])),
    (
        "CL of a GET",
        "GET /~/x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        Passes(&["GET /~/x abc"]),
    ),
    (
        "CL of a HEAD",
        "HEAD /~/x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        Passes(&["HEAD /~/x abc"]),
    ),
    (
        "CL of OPTIONS",
        "OPTIONS /~/x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        Passes(&["OPTIONS /~/x abc"]),
    ),
    ("no length of a POST", "POST /~/x HTTP/1.1\r\nHost: a\r\n\r\n", Passes(&["POST /~/x "])),
    (
        "a body that is a request",
        post!("Content-Length: 41", "GET /~/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"),
        Passes(&["POST /~/x GET /~/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"]),
    ),
    (
        "the body of a GET that is a request",
        "GET /~/x HTTP/1.1\r\nHost: a\r\nContent-Length: 41\r\n\r\nGET /~/smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        Passes(&["GET /~/x GET /~/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"]),
    ),
    (
        "CL named hop by hop",
        post!(
            "Connection: Content-Length\r\nContent-Length: 41",
            "GET /~/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        ),
        Passes(&["POST /~/x GET /~/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"]),
    ),
    (
        "TE named hop by hop",
        post!("Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n"),
        ABC,
    ),
];

/// Codings other than `chunked`.
pub(super) const CODINGS: &[Row] = &[
    ("TE xchunked", coded!(" xchunked"), BAD),
    ("TE chunkedx", coded!(" chunkedx"), BAD),
    ("TE chunk", coded!(" chunk"), BAD),
    ("TE empty", coded!(""), BAD),
    ("TE of spaces", coded!("  "), BAD),
    ("TE chunked, identity", coded!(" chunked, identity"), BAD),
    ("TE identity, chunked", coded!(" identity, chunked"), BAD),
    ("TE identity", coded!(" identity"), BAD),
    ("TE gzip, chunked", coded!(" gzip, chunked"), BAD),
    ("TE chunked, gzip", coded!(" chunked, gzip"), BAD),
    ("TE chunked, chunked", coded!(" chunked, chunked"), BAD),
    ("TE with a comma before", coded!(" , chunked"), BAD),
    ("TE with a comma behind", coded!(" chunked,"), BAD),
    ("TE in double quotes", coded!(" \"chunked\""), BAD),
    ("TE in single quotes", coded!(" 'chunked'"), BAD),
    ("TE with a parameter", coded!(" chunked;q=1"), BAD),
    ("TE with a tab before", coded!("\tchunked"), BAD),
    ("TE with a tab behind", coded!(" chunked\t"), BAD),
    ("TE with a vertical tab before", coded!(" \u{b}chunked"), BAD),
    ("TE with a vertical tab behind", coded!(" chunked\u{b}"), BAD),
    ("TE with a form feed behind", coded!(" chunked\u{c}"), BAD),
    ("TE with a no-break space", coded!(" chunked\u{a0}"), BAD),
    ("TE with NUL behind", coded!(" chunked\0"), BAD),
    ("TE with another k", coded!(" chun\u{212a}ed"), BAD),
    ("TE with bare CR behind", coded!(" chunked\r"), BAD),
    ("TE with bare LF behind", coded!(" chunked\n"), BAD),
    ("TE folded", coded!("\r\n chunked"), BAD),
    ("TE folded with more", coded!(" chunked\r\n\tx"), BAD),
    ("TE twice", coded!(" chunked\r\nTransfer-Encoding: chunked"), BAD),
    ("TE, then identity", coded!(" chunked\r\nTransfer-Encoding: identity"), BAD),
    ("TE behind identity", coded!(" identity\r\nTransfer-Encoding: chunked"), BAD),
    ("TE behind what is unknown", coded!(" x\r\nTransfer-encoding: chunked"), BAD),
    ("TE, space before the colon", post!("Transfer-Encoding : chunked", "0\r\n\r\n"), BAD),
    ("TE, tab before the colon", post!("Transfer-Encoding\t: chunked", "0\r\n\r\n"), BAD),
    ("TE, space before the name", post!(" Transfer-Encoding: chunked", "0\r\n\r\n"), BAD),
    ("TE behind bare LF", post!("X: y\nTransfer-Encoding: chunked", "0\r\n\r\n"), BAD),
    ("TE behind bare CR", post!("X: y\rTransfer-Encoding: chunked", "0\r\n\r\n"), BAD),
    ("TE in HTTP/1.0", "POST /~/x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD),
    ("TE in other cases", post!("tRANSFER-eNCODING: CHUNKED", "3\r\nabc\r\n0\r\n\r\n"), ABC),
    ("TE without a space", post!("Transfer-Encoding:chunked", "3\r\nabc\r\n0\r\n\r\n"), ABC),
    (
        "TE of a GET",
        "GET /~/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        Passes(&["GET /~/x abc"]),
    ),
    (
        "TE of a DELETE",
        "DELETE /~/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        Passes(&["DELETE /~/x abc"]),
    ),
    (
        "TE of a HEAD",
        "HEAD /~/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Passes(&["HEAD /~/x "]),
    ),
];

/// Chunks that are none, and trailers that say more than they may.
pub(super) const CHUNKS: &[Row] = &[
    ("chunk size with plus", chunks!("+1\r\na\r\n0\r\n\r\n"), Cut(400)),
    ("chunk size with minus", chunks!("-1\r\na\r\n0\r\n\r\n"), Cut(400)),
    ("chunk size 0x", chunks!("0x1\r\na\r\n0\r\n\r\n"), Cut(400)),
    ("chunk size with a space before", chunks!(" 1\r\na\r\n0\r\n\r\n"), Cut(400)),
    ("chunk size with a space behind", chunks!("1 \r\na\r\n0\r\n\r\n"), Cut(400)),
    ("chunk size with a tab behind", chunks!("1\t;x\r\na\r\n0\r\n\r\n"), Cut(400)),
    ("chunk size with NUL", chunks!("1\0\r\na\r\n0\r\n\r\n"), Cut(400)),
    ("chunk size with an underscore", chunks!("1_0\r\na\r\n0\r\n\r\n"), Cut(400)),
    ("chunk size in quotes", chunks!("\"1\"\r\na\r\n0\r\n\r\n"), Cut(400)),
    ("chunk size missing", chunks!("\r\n1\r\na\r\n0\r\n\r\n"), Cut(400)),
    ("chunk size missing before an extension", chunks!(";x\r\n1\r\na\r\n0\r\n\r\n"), Cut(400)),
    ("chunk size that is none", chunks!("g\r\na\r\n0\r\n\r\n"), Cut(400)),
    ("chunk size of 17 digits", chunks!("00000000000000001\r\na\r\n0\r\n\r\n"), Cut(400)),
    ("chunk size beyond 64 bits", chunks!("10000000000000001\r\na\r\n0\r\n\r\n"), Cut(400)),
    ("chunk size far beyond 64 bits", chunks!("ffffffffffffffffff\r\na\r\n0\r\n\r\n"), Cut(400)),
    ("chunk size, then bare LF", chunks!("1\na\r\n0\r\n\r\n"), Cut(400)),
    ("chunk size, then bare CR", chunks!("1\ra\r\n0\r\n\r\n"), Cut(400)),
    ("chunk, then bare LF", chunks!("1\r\na\n0\r\n\r\n"), Cut(400)),
    ("chunk, then bare CR", chunks!("1\r\na\r0\r\n\r\n"), Cut(400)),
    ("chunk that is longer", chunks!("1\r\nab\r\n0\r\n\r\n"), Cut(400)),
    ("chunk that is shorter", chunks!("3\r\na\r\n0\r\n\r\n"), Cut(400)),
    ("chunk without its end", chunks!("1\r\na0\r\n\r\n"), Cut(400)),
    ("chunk and two ends of line", chunks!("1\r\na\r\n\r\n0\r\n\r\n"), Cut(400)),
    ("chunk extension with bare LF in quotes", chunks!("1;x=\"\n\"\r\na\r\n0\r\n\r\n"), Cut(400)),
    ("chunk extension with bare LF", chunks!("1;a\na\r\n0\r\n\r\n"), Cut(400)),
    ("chunk extension with bare CR", chunks!("1;a\rb\r\na\r\n0\r\n\r\n"), Cut(400)),
    ("last chunk, then bare LF", chunks!("1\r\na\r\n0\n\r\n"), Cut(400)),
    ("last chunk, then bare LF twice", chunks!("1\r\na\r\n0\n\n"), Cut(400)),
    ("trailer with a space before the colon", chunks!("1\r\na\r\n0\r\nX : y\r\n\r\n"), Cut(400)),
    ("trailer, then bare LF", chunks!("1\r\na\r\n0\r\nX: y\n\r\n"), Cut(400)),
    ("trailer that is folded", chunks!("1\r\na\r\n0\r\nX: y\r\n z\r\n\r\n"), Cut(400)),
    ("trailer without a colon", chunks!("1\r\na\r\n0\r\nGET /~/smuggled HTTP/1.1\r\n\r\n"), Cut(400)),
    ("chunk extension", chunks!("3;a=b\r\nabc\r\n0\r\n\r\n"), ABC),
    ("chunk extension in quotes", chunks!("3;a=\";\"\r\nabc\r\n0\r\n\r\n"), ABC),
    ("chunk size with zeroes before", chunks!("0000000000000003\r\nabc\r\n0\r\n\r\n"), ABC),
    ("chunks in several", chunks!("1\r\na\r\n2\r\nbc\r\n000\r\n\r\n"), ABC),
    (
        "a chunk that is a request",
        chunks!("29\r\nGET /~/smuggled HTTP/1.1\r\nHost: a\r\n\r\n\r\n0\r\n\r\n"),
        Passes(&["POST /~/x GET /~/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"]),
    ),
    ("trailer that says a length", chunks!("3\r\nabc\r\n0\r\nContent-Length: 41\r\n\r\n"), ABC),
    ("trailer that says a coding", chunks!("3\r\nabc\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"), ABC),
    ("trailer that says a host", chunks!("3\r\nabc\r\n0\r\nHost: b\r\nAuthorization: x\r\n\r\n"), ABC),
];

/// Heads that are none, and lines that end too early or too late.
pub(super) const HEADS: &[Row] = &[
    ("bare LF", "GET /~/x HTTP/1.1\nHost: a\n\n", BAD),
    ("bare LF at the end", "GET /~/x HTTP/1.1\r\nHost: a\n\r\n", BAD),
    ("bare LF behind a field", get!("X: y\n"), BAD),
    ("bare LF before the end", "GET /~/x HTTP/1.1\r\nHost: a\r\n\n", BAD),
    ("LF CR", "GET /~/x HTTP/1.1\n\rHost: a\n\r\n\r", BAD),
    ("CR CR LF", "GET /~/x HTTP/1.1\r\r\nHost: a\r\n\r\n", BAD),
    ("bare CR", "GET /~/x HTTP/1.1\rHost: a\r\r", BAD),
    ("bare CR in a value", get!("X: a\rb"), BAD),
    ("bare CR before a request", get!("X: a\r\rGET /~/smuggled HTTP/1.1"), BAD),
    ("NUL in a value", get!("X: a\0b"), BAD),
    ("NUL in a name", get!("X\0: a"), BAD),
    ("DEL in a value", get!("X: a\x7fb"), BAD),
    ("a name with a space", get!("X y: z"), BAD),
    ("a name of nothing", get!(": z"), BAD),
    ("a name with a bracket", get!("X[0]: z"), BAD),
    ("a name that is no ASCII", get!("X\u{e4}: z"), BAD),
    ("a field without a colon", get!("nonsense"), BAD),
    ("a request line as a field", get!("GET /~/smuggled HTTP/1.1"), BAD),
    ("a folded value", get!("X: a\r\n folded"), BAD),
    ("a folded value by a tab", get!("X: a\r\n\tfolded"), BAD),
    ("a folded value of nothing", get!("X: a\r\n "), BAD),
    ("a fold before the first field", "GET /~/x HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n", BAD),
    ("a field that begins with a space", get!(" X: first"), BAD),
    ("a host that begins with a space", "GET /~/x HTTP/1.1\r\n Host: a\r\n\r\n", BAD),
    ("a fold of the host", "GET /~/x HTTP/1.1\r\nHost:\r\n a\r\n\r\n", BAD),
    ("two spaces behind the method", "GET  /~/x HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    ("two spaces behind the target", "GET /~/x  HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    ("a tab behind the method", "GET\t/~/x HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    ("a tab in the target", "GET /~/\tx HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    ("a space in the target", "GET /~/x y HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    ("a version in the target", "GET /~/x HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    ("a space behind the version", "GET /~/x HTTP/1.1 \r\nHost: a\r\n\r\n", BAD),
    ("a space before the method", " GET /~/x HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    ("a vertical tab in the line", "GET\u{b}/~/x\u{b}HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    ("HTTP/0.9", "GET /~/x\r\n\r\n", BAD),
    ("HTTP/0.9 in one line", "GET /~/x\r\n", BAD),
    ("HTTP/0.9 with its version", "GET /~/x HTTP/0.9\r\nHost: a\r\n\r\n", BAD),
    ("HTTP/1.0", "GET /~/x HTTP/1.0\r\nHost: a\r\n\r\n", Refused(426)),
    (
        "HTTP/1.0 that wants to go on",
        "GET /~/x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
        Refused(426),
    ),
    ("HTTP/1.2", "GET /~/x HTTP/1.2\r\nHost: a\r\n\r\n", BAD),
    ("HTTP/1.10", "GET /~/x HTTP/1.10\r\nHost: a\r\n\r\n", BAD),
    ("HTTP/01.1", "GET /~/x HTTP/01.1\r\nHost: a\r\n\r\n", BAD),
    ("HTTP/2.0", "GET /~/x HTTP/2.0\r\nHost: a\r\n\r\n", BAD),
    ("a version in small letters", "GET /~/x http/1.1\r\nHost: a\r\n\r\n", BAD),
    ("another protocol", "GET /~/x ICY/1.1\r\nHost: a\r\n\r\n", BAD),
    ("a preface of HTTP/2 with fields", "PRI * HTTP/2.0\r\nHost: a\r\n\r\n", BAD),
    ("a method with @", "G@T /~/x HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    ("a method with NUL", "GE\0T /~/x HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    ("a method with a colon", "GET: /~/x HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    ("a method that is no ASCII", "G\u{cb}T /~/x HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    ("a method with bare CR", "GET\r /~/x HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    ("no method", "/~/x HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    ("a fragment", "GET /~/x#y HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    ("a target that is no ASCII", "GET /~/\u{fc} HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    ("NUL in the target", "GET /~/\0 HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    ("NUL in the target, escaped", "GET /~/%00 HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    ("an escape that is none", "GET /~/%zz HTTP/1.1\r\nHost: a\r\n\r\n", Passes(&["GET /~/%zz "])),
    ("a target that is a word", "GET x HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    ("an asterisk of a GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    (
        "an end of line, escaped",
        "GET /~/x%0d%0aX:%20y HTTP/1.1\r\nHost: a\r\n\r\n",
        Passes(&["GET /~/x%0d%0aX:%20y "]),
    ),
    ("nothing but ends of line", "\r\n\r\n\0", BAD),
    ("nothing", "\0\0\0\0\r\n\r\n", BAD),
    ("ends of line before", "\r\n\r\nGET /~/x HTTP/1.1\r\nHost: a\r\n\r\n", GET),
    ("a method of one's own", "FROB /~/x HTTP/1.1\r\nHost: a\r\n\r\n", Passes(&["FROB /~/x "])),
    ("a method in small letters", "get /~/x HTTP/1.1\r\nHost: a\r\n\r\n", Passes(&["get /~/x "])),
    ("a value that is no ASCII", get!("X: \u{e4}"), GET),
    ("a value with tabs", get!("X:\t y\tz \t"), GET),
    ("a value that is a request", get!("X: GET /~/smuggled HTTP/1.1"), GET),
];

/// Whose request it is.
pub(super) const HOSTS: &[Row] = &[
    ("no host", "GET /~/x HTTP/1.1\r\n\r\n", BAD),
    ("host of nothing", "GET /~/x HTTP/1.1\r\nHost: \r\n\r\n", BAD),
    ("host twice alike", "GET /~/x HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", BAD),
    ("host twice", "GET /~/x HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", BAD),
    ("host twice, once with a space", "GET /~/x HTTP/1.1\r\nHost : b\r\nHost: a\r\n\r\n", BAD),
    ("host as a list", "GET /~/x HTTP/1.1\r\nHost: a,b\r\n\r\n", BAD),
    ("host with a space", "GET /~/x HTTP/1.1\r\nHost: a b\r\n\r\n", BAD),
    ("host with a tab", "GET /~/x HTTP/1.1\r\nHost: a\tb\r\n\r\n", BAD),
    ("host with a user", "GET /~/x HTTP/1.1\r\nHost: user@a\r\n\r\n", BAD),
    ("host with a path", "GET /~/x HTTP/1.1\r\nHost: a/b\r\n\r\n", BAD),
    ("host with a query", "GET /~/x HTTP/1.1\r\nHost: a?b\r\n\r\n", BAD),
    ("host with a fragment", "GET /~/x HTTP/1.1\r\nHost: a#b\r\n\r\n", BAD),
    ("host with a backslash", "GET /~/x HTTP/1.1\r\nHost: a\\b\r\n\r\n", BAD),
    ("port that is a word", "GET /~/x HTTP/1.1\r\nHost: a:port\r\n\r\n", BAD),
    ("port beyond all", "GET /~/x HTTP/1.1\r\nHost: a:99999\r\n\r\n", BAD),
    ("port with minus", "GET /~/x HTTP/1.1\r\nHost: a:-1\r\n\r\n", BAD),
    ("two ports", "GET /~/x HTTP/1.1\r\nHost: a:80:81\r\n\r\n", BAD),
    ("half a bracket", "GET /~/x HTTP/1.1\r\nHost: [::1\r\n\r\n", BAD),
    ("absolute form of another host", "GET http://b/~/x HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    ("absolute form of another port", "GET http://a:81/~/x HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    ("absolute form with a user", "GET http://u@a/~/x HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    ("absolute form of no host", "GET http:///~/x HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    ("absolute form without a host field", "GET http://a/~/x HTTP/1.1\r\n\r\n", BAD),
    ("absolute form of another scheme", "GET ftp://a/~/x HTTP/1.1\r\nHost: a\r\n\r\n", GET),
    ("absolute form", "GET http://a/~/x HTTP/1.1\r\nHost: a\r\n\r\n", GET),
    ("absolute form with the port", "GET http://a:80/~/x HTTP/1.1\r\nHost: A\r\n\r\n", GET),
    ("two slashes before a host", "GET //b/~/x HTTP/1.1\r\nHost: a\r\n\r\n", Passes(&["GET //b/~/x "])),
];

/// What asks for another protocol, for patience, or for the connection's end; and what comes behind.
pub(super) const TURNS: &[Row] = &[
    ("CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", Refused(405)),
    ("CONNECT with a path", "CONNECT /~/x HTTP/1.1\r\nHost: a\r\n\r\n", Refused(405)),
    (
        "CONNECT with a body",
        "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 3\r\n\r\nabc",
        Refused(405),
    ),
    ("Expect of something else", get!("Expect: 200-ok"), Refused(417)),
    ("Expect of more", post!("Expect: 100-continue, x\r\nContent-Length: 5", "hello"), Refused(417)),
    (
        "Expect twice",
        post!("Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 5", "hello"),
        Passes(&["POST /~/x hello"]),
    ),
    ("Expect", post!("Expect: 100-continue\r\nContent-Length: 5", "hello"), Passes(&["POST /~/x hello"])),
    (
        "Expect in other cases",
        post!("eXPECT: 100-CONTINUE\r\nContent-Length: 5", "hello"),
        Passes(&["POST /~/x hello"]),
    ),
    ("Expect without a body", get!("Expect: 100-continue"), GET),
    (
        "Expect and chunks",
        post!("Expect: 100-continue\r\nTransfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n"),
        ABC,
    ),
    ("Expect folded", post!("Expect:\r\n 100-continue\r\nContent-Length: 5", "hello"), BAD),
    (
        "h2c",
        get!(
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"
        ),
        GET,
    ),
    ("h2c, not named", get!("Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"), GET),
    (
        "h2c with a body",
        post!(
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\nContent-Length: 3",
            "abc"
        ),
        ABC,
    ),
    (
        "upgrade to what no route has",
        get!("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 777"),
        Declined(403),
    ),
    (
        "upgrade with a body",
        post!(
            "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 41",
            "GET /~/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        ),
        Declined(403),
    ),
    ("the end", get!("Connection: close"), Last(&["GET /~/x "])),
    ("the end in a list", get!("Connection: keep-alive, CLOSE"), Last(&["GET /~/x "])),
    (
        "the end behind a body",
        post!("Connection: close\r\nContent-Length: 3", "abc"),
        Last(&["POST /~/x abc"]),
    ),
    (
        "two in a row",
        "GET /~/1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /~/2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
        Passes(&["GET /~/1 ", "POST /~/2 hi"]),
    ),
    (
        "a HEAD between",
        "GET /~/1 HTTP/1.1\r\nHost: a\r\n\r\nHEAD /~/2 HTTP/1.1\r\nHost: a\r\n\r\nGET /~/3 HTTP/1.1\r\nHost: a\r\n\r\n",
        Passes(&["GET /~/1 ", "HEAD /~/2 ", "GET /~/3 "]),
    ),
    (
        "ends of line between",
        "GET /~/1 HTTP/1.1\r\nHost: a\r\n\r\n\r\n\r\nGET /~/2 HTTP/1.1\r\nHost: a\r\n\r\n",
        Passes(&["GET /~/1 ", "GET /~/2 "]),
    ),
    (
        "a body that is longer than it says",
        post!("Content-Length: 3", "abcGET"),
        Last(&["POST /~/x abc", "GETGET /~/next "]),
    ),
    (
        "one that is refused behind one that is not",
        "GET /~/1 HTTP/1.1\r\nHost: a\r\n\r\nGET /~/2 HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
        After(&["GET /~/1 "], 400),
    ),
    (
        "CL.TE behind one that is well",
        "POST /~/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhiPOST /~/2 HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
        After(&["POST /~/1 hi"], 400),
    ),
];

/// Where HTTP/1.0 is spoken.
pub(super) const OLD: &[Row] = &[
    ("1.0", "GET /~/x HTTP/1.0\r\nHost: a\r\n\r\n", Last(&["GET /~/x "])),
    ("1.0 that goes on", "GET /~/x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", GET),
    (
        "1.0 with a length",
        "POST /~/x HTTP/1.0\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        Last(&["POST /~/x abc"]),
    ),
    ("1.0 with chunks", "POST /~/x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD),
    (
        "1.0 with chunks that goes on",
        "POST /~/x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        BAD,
    ),
    (
        "1.0 with a length and chunks",
        "POST /~/x HTTP/1.0\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        BAD,
    ),
    ("1.0 without a host", "GET /~/x HTTP/1.0\r\n\r\n", BAD),
    ("0.9", "GET /~/x\r\n\r\n", BAD),
];

/// Where a length beside chunks is allowed: it is dropped, and nothing may follow (RFC 9112 §6.1).
pub(super) const BESIDE: &[Row] = &[
    (
        "CL and TE",
        post!("Content-Length: 100\r\nTransfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n"),
        Last(&["POST /~/x abc"]),
    ),
    (
        "TE and CL",
        post!("Transfer-Encoding: chunked\r\nContent-Length: 4", "3\r\nabc\r\n0\r\n\r\n"),
        Last(&["POST /~/x abc"]),
    ),
    (
        "TE and CL that is none",
        post!("Transfer-Encoding: chunked\r\nContent-Length: +4", "3\r\nabc\r\n0\r\n\r\n"),
        BAD,
    ),
    (
        "TE and CL twice",
        post!("Transfer-Encoding: chunked\r\nContent-Length: 4\r\nContent-Length: 5", "0\r\n\r\n"),
        BAD,
    ),
    ("xchunked and CL", post!("Transfer-Encoding: xchunked\r\nContent-Length: 5", "hello"), BAD),
];
