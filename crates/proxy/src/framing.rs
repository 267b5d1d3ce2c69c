//! Where one HTTP/1 request ends and the next begins, decided strictly.
//!
//! A server and a proxy in front of it that disagree on this can be made to take the end of one request for the
//! beginning of another ("request smuggling"). The codec behind this check is lenient where RFC 9112 lets it be; an
//! edge must not be. So every byte of a connection passes here first: heads are held until they are complete and
//! unambiguous, bodies are counted, and the first doubt ends the connection.
//!
//! Pure: bytes in, verdicts out.

/// Bound on the extension of one chunk; nobody needs one, and it is a known way to keep a parser busy.
const MAX_CHUNK_LINE: usize = 4096;

/// Where in the stream of requests we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before or inside a head.
    Head,
    /// Inside a body with so many bytes to come.
    Body(u64),
    /// Before or inside the line with a chunk's size.
    ChunkSize,
    /// Inside a chunk with so many bytes to come.
    Chunk(u64),
    /// Before the CRLF that ends a chunk.
    ChunkEnd,
    /// Among the trailer fields.
    Trailers,
}

/// Follows the requests of one connection.
#[derive(Debug)]
pub struct Framing {
    state: State,
    max_head: usize,
    /// Accept `Content-Length` beside `Transfer-Encoding: chunked` (the latter decides, RFC 9112 §6.1).
    allow_chunked_length: bool,
    trailer_bytes: usize,
}

/// Why a connection cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// The head is larger than allowed.
    HeadTooLarge,
    /// The text says what is ambiguous or malformed.
    Malformed(&'static str),
}

/// What is known after looking at some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// So many of the bytes are in order and may be passed on.
    pub passed: usize,
    /// What the rest is.
    pub rest: Rest,
}

/// What follows the bytes that are in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Nothing.
    Nothing,
    /// The beginning of a head.
    IncompleteHead,
    /// The beginning of a line of chunk framing.
    IncompleteLine,
    /// Something that ends the connection.
    Violation(Violation),
}

impl Framing {
    /// At the start of a connection.
    pub fn new(max_head: usize, allow_chunked_length: bool) -> Self {
        Self { state: State::Head, max_head, allow_chunked_length, trailer_bytes: 0 }
    }

    /// Is the stream between two requests?
    pub fn between_requests(&self) -> bool {
        self.state == State::Head
    }

    /// Looks at the bytes after those passed before. After a [`Rest::Violation`] it must not be asked again.
    pub fn advance(&mut self, bytes: &[u8]) -> Progress {
        let mut passed = 0;
        let rest = loop {
            let rest = &bytes[passed..];
            if rest.is_empty() {
                break Rest::Nothing;
            }
            match self.step(rest) {
                Ok(Some(taken)) => passed += taken,
                Ok(None) if self.state == State::Head => break Rest::IncompleteHead,
                Ok(None) => break Rest::IncompleteLine,
                Err(violation) => break Rest::Violation(violation),
            }
        };
        Progress { passed, rest }
    }

    /// Takes one element from the front of `rest`; none when it is not complete.
    fn step(&mut self, rest: &[u8]) -> Result<Option<usize>, Violation> {
        match self.state {
            State::Head => self.head(rest),
            State::Body(left) => {
                let taken = counted(rest, left);
                self.state = match left - taken as u64 {
                    0 => State::Head,
                    left => State::Body(left),
                };
                Ok(Some(taken))
            }
            State::Chunk(left) => {
                let taken = counted(rest, left);
                self.state = match left - taken as u64 {
                    0 => State::ChunkEnd,
                    left => State::Chunk(left),
                };
                Ok(Some(taken))
            }
            State::ChunkEnd => match rest {
                [b'\r', b'\n', ..] => {
                    self.state = State::ChunkSize;
                    Ok(Some(2))
                }
                [b'\r'] => Ok(None),
                _ => Err(Violation::Malformed("a chunk does not end with CRLF")),
            },
            State::ChunkSize => self.chunk_size(rest),
            State::Trailers => self.trailer(rest),
        }
    }

    fn head(&mut self, rest: &[u8]) -> Result<Option<usize>, Violation> {
        // RFC 9112 §2.2: a server should ignore at least one empty line before a request line.
        if rest.starts_with(b"\r\n") {
            return Ok(Some(2));
        }
        let Some(length) = head_length(rest)? else {
            return if rest.len() > self.max_head { Err(Violation::HeadTooLarge) } else { Ok(None) };
        };
        if length > self.max_head {
            return Err(Violation::HeadTooLarge);
        }
        self.state = body_after(&rest[..length], self.allow_chunked_length)?;
        Ok(Some(length))
    }

    fn chunk_size(&mut self, rest: &[u8]) -> Result<Option<usize>, Violation> {
        let Some(line) = line(rest, MAX_CHUNK_LINE, "a chunk size line is too long")? else {
            return Ok(None);
        };
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        if digits == 0 || digits > 16 {
            return Err(Violation::Malformed("a chunk size is not a hexadecimal number"));
        }
        // Only an extension may follow (RFC 9112 §7.1.1); "bad white space" before it is what smugglers use.
        if !matches!(line.get(digits), None | Some(b';')) {
            return Err(Violation::Malformed("a chunk size is followed by something else than an extension"));
        }
        let size = line[..digits].iter().fold(0u64, |size, digit| size << 4 | u64::from(hex(*digit)));
        self.state = match size {
            0 => State::Trailers,
            size => State::Chunk(size),
        };
        self.trailer_bytes = 0;
        Ok(Some(line.len() + 2))
    }

    fn trailer(&mut self, rest: &[u8]) -> Result<Option<usize>, Violation> {
        let Some(line) = line(rest, self.max_head, "a trailer line is too long")? else { return Ok(None) };
        self.trailer_bytes += line.len() + 2;
        if self.trailer_bytes > self.max_head {
            return Err(Violation::HeadTooLarge);
        }
        if line.is_empty() {
            self.state = State::Head;
        } else {
            field(line)?;
        }
        Ok(Some(line.len() + 2))
    }
}

/// How many of `left` expected bytes are in `rest`.
fn counted(rest: &[u8], left: u64) -> usize {
    usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()))
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

/// Length of the head at the front of `bytes` with the empty line that ends it. Every line must end with CRLF.
fn head_length(bytes: &[u8]) -> Result<Option<usize>, Violation> {
    let mut start = 0;
    while let Some(at) = bytes[start..].iter().position(|byte| *byte == b'\n') {
        let end = start + at;
        if end == start || bytes[end - 1] != b'\r' {
            return Err(Violation::Malformed("a line ends with a bare LF"));
        }
        if end - 1 == start {
            return Ok(Some(end + 1));
        }
        start = end + 1;
    }
    Ok(None)
}

/// The line at the front of `rest`, without its CRLF.
fn line<'a>(rest: &'a [u8], max: usize, too_long: &'static str) -> Result<Option<&'a [u8]>, Violation> {
    match rest.iter().take(max + 2).position(|byte| *byte == b'\n') {
        Some(0) => Err(Violation::Malformed("a line ends with a bare LF")),
        Some(at) if rest[at - 1] != b'\r' => Err(Violation::Malformed("a line ends with a bare LF")),
        Some(at) if rest[..at - 1].contains(&b'\r') => Err(Violation::Malformed("a bare CR inside a line")),
        Some(at) => Ok(Some(&rest[..at - 1])),
        None if rest.len() > max => Err(Violation::Malformed(too_long)),
        None => Ok(None),
    }
}

/// Splits a field line, refusing what RFC 9112 §5 does not allow.
fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Violation> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Violation::Malformed("a header field is folded over two lines"));
    }
    let colon = line
        .iter()
        .position(|byte| *byte == b':')
        .ok_or(Violation::Malformed("a header field has no colon"))?;
    let name = &line[..colon];
    if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
        return Err(Violation::Malformed("a header field name is malformed"));
    }
    let value = &line[colon + 1..];
    if value.iter().any(|byte| matches!(byte, 0..=8 | 10..=31 | 127)) {
        return Err(Violation::Malformed("a control character in a header field"));
    }
    Ok((name, value))
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// What follows a complete head.
fn body_after(head: &[u8], allow_chunked_length: bool) -> Result<State, Violation> {
    let mut lines = head[..head.len() - 2].split(|byte| *byte == b'\n').map(|line| match line {
        [line @ .., b'\r'] => line,
        line => line,
    });
    let request_line = lines.next().unwrap_or_default();
    if request_line.contains(&b'\r') {
        return Err(Violation::Malformed("a bare CR inside a line"));
    }
    // The parser behind this drops it in silence, where another may route by it.
    if request_line.contains(&b'#') {
        return Err(Violation::Malformed("a fragment in the request's target"));
    }
    let http_10 = request_line.ends_with(b" HTTP/1.0");
    let mut length = None;
    let mut chunked = false;
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = field(line)?;
        if name.eq_ignore_ascii_case(b"content-length") {
            if length.replace(content_length(value)?).is_some() {
                return Err(Violation::Malformed("Content-Length is given more than once"));
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let value = trim(value);
            if chunked || http_10 || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Violation::Malformed("a Transfer-Encoding other than 'chunked'"));
            }
            chunked = true;
        }
    }
    match (chunked, length) {
        (true, Some(_)) if !allow_chunked_length => {
            Err(Violation::Malformed("Content-Length and Transfer-Encoding together"))
        }
        (true, _) => Ok(State::ChunkSize),
        (false, Some(0) | None) => Ok(State::Head),
        (false, Some(length)) => Ok(State::Body(length)),
    }
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

#[cfg(test)]
mod tests;
