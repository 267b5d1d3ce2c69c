//! Heads: how long they are, whether they are sound, and what follows them.

use memchr::memchr;

use super::{State, Violation};

/// A head, as far as it has come. Each of its lines is looked at once; what is wrong with one is told when all are there.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The next line begins here.
    at: usize,
    /// The first that was found.
    violation: Option<Violation>,
    http_10: bool,
    length: Option<u64>,
    chunked: bool,
}

impl Reading {
    /// Looks at what is new of the head at the front of `bytes`; its length, with the empty line that ends it, when it is
    /// complete. Every line must end with CRLF, or (when lenient) with LF alone.
    pub(super) fn advance(&mut self, bytes: &[u8], lenient: bool) -> Result<Option<usize>, Violation> {
        while let Some(at) = memchr(b'\n', &bytes[self.at..]) {
            let end = self.at + at;
            let line = match &bytes[self.at..end] {
                [line @ .., b'\r'] => line,
                line if lenient => line,
                _ => return Err(Violation::Malformed("a line ends with a bare LF")),
            };
            if line.is_empty() {
                return Ok(Some(end + 1));
            }
            if self.violation.is_none() {
                let sound = if self.at == 0 { self.request_line(line) } else { self.field(line, lenient) };
                self.violation = sound.err();
            }
            self.at = end + 1;
        }
        Ok(None)
    }

    fn request_line(&mut self, line: &[u8]) -> Result<(), Violation> {
        // As with values of fields.
        if line.iter().fold(false, |found, byte| found | (*byte == b'\r') | (*byte == b'#')) {
            return Err(Violation::Malformed(match line.contains(&b'\r') {
                true => "a bare CR inside a line",
                // The parser behind this drops it in silence, where another may route by it.
                false => "a fragment in the request's target",
            }));
        }
        if !line.ends_with(b" HTTP/1.1") {
            self.http_10 = line.ends_with(b" HTTP/1.0");
            let version = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
            if version.starts_with(b"HTTP/") && !matches!(&version[5..], b"1.1" | b"1.0") {
                return Err(Violation::UnknownVersion);
            }
        }
        Ok(())
    }

    fn field(&mut self, line: &[u8], lenient: bool) -> Result<(), Violation> {
        let (name, value) = field(line)?;
        if name.eq_ignore_ascii_case(b"content-length") {
            let stated = content_length(value)?;
            if self.length.replace(stated).is_some_and(|before| !lenient || before != stated) {
                return Err(Violation::Malformed("Content-Length is given more than once"));
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let value = trim(value);
            if value.split(|byte| *byte == b',').any(is_other_coding) {
                return Err(Violation::UnknownCoding);
            }
            if self.chunked || self.http_10 || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Violation::Malformed("a Transfer-Encoding other than 'chunked'"));
            }
            self.chunked = true;
        }
        Ok(())
    }

    /// What follows the head, now that it is complete.
    pub(super) fn body(&self, allow_chunked_length: bool, lenient: bool) -> Result<State, Violation> {
        match (self.violation, self.chunked, self.length) {
            (Some(violation), ..) => Err(violation),
            (None, true, Some(_)) if !allow_chunked_length && !lenient => {
                Err(Violation::Malformed("Content-Length and Transfer-Encoding together"))
            }
            (None, true, _) => Ok(State::ChunkSize),
            (None, false, Some(0) | None) => Ok(State::Head),
            (None, false, Some(length)) => Ok(State::Body(length)),
        }
    }
}

/// Splits a field line, refusing what RFC 9112 §5 does not allow.
pub(super) fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Violation> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Violation::Folded);
    }
    let end = line.iter().position(|byte| !is_token(*byte)).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    let value = match rest {
        [b':', value @ ..] if !name.is_empty() => value,
        _ if !rest.contains(&b':') => return Err(Violation::Malformed("a header field has no colon")),
        _ => return Err(Violation::Malformed("a header field name is malformed")),
    };
    // Every byte is looked at, without a way out: so the compiler can look at many at once.
    if value.iter().fold(false, |found, byte| found | ((*byte < 32) & (*byte != b'\t')) | (*byte == 127)) {
        return Err(Violation::Malformed("a control character in a header field"));
    }
    Ok((name, value))
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    const TOKENS: [bool; 256] = {
        let mut tokens = [false; 256];
        let mut byte = 0u8;
        while byte < 128 {
            tokens[byte as usize] = byte.is_ascii_alphanumeric();
            byte += 1;
        }
        let mut others: &[u8] = b"!#$%&'*+-.^_`|~";
        while let [first, rest @ ..] = others {
            tokens[*first as usize] = true;
            others = rest;
        }
        tokens
    };
    TOKENS[usize::from(byte)]
}

/// What is wrong with a head that has a field over several lines.
pub(super) fn folded(head: &[u8]) -> Violation {
    match Reading::default().advance(head, false) {
        Ok(_) => Violation::Folded,
        Err(bare) => bare,
    }
}

/// RFC 9112 §3: three parts with a space between, the second of visible ASCII, the third a version.
pub(super) fn check_request_line(head: &[u8]) -> Result<(), Violation> {
    let line = head.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let mut parts = line.split(|byte| *byte == b' ');
    let (method, target, version) = (parts.next(), parts.next(), parts.next());
    let sound = method.is_some_and(|method| !method.is_empty() && method.iter().all(|byte| is_token(*byte)))
        && target.is_some_and(|target| {
            target.iter().all(u8::is_ascii_graphic) && http::Uri::try_from(target).is_ok()
        })
        && version.is_some_and(|version| version.starts_with(b"HTTP/"))
        && parts.next().is_none();
    if sound { Ok(()) } else { Err(Violation::Malformed("the request line is malformed")) }
}

/// One of the registered transfer codings that nobody uses between hops.
fn is_other_coding(text: &[u8]) -> bool {
    const OTHERS: [&[u8]; 5] = [b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress"];
    OTHERS.iter().any(|coding| trim(text).eq_ignore_ascii_case(coding))
}

/// Spaces only: a tab here is one of the classic disguises.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = value {
        value = rest;
    }
    value
}

fn content_length(value: &[u8]) -> Result<u64, Violation> {
    let digits = trim(value);
    let malformed = Violation::Malformed("Content-Length is not a number");
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(malformed);
    }
    digits.iter().try_fold(0u64, |length, digit| {
        let length = length.checked_mul(10).and_then(|length| length.checked_add(u64::from(digit - b'0')));
        length.filter(|length| *length <= i64::MAX as u64).ok_or(malformed)
    })
}
