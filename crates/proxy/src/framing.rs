//! Where one HTTP/1 request ends and the next begins, decided strictly.
//!
//! A server and a proxy in front of it that disagree on this can be made to take the end of one request for the
//! beginning of another ("request smuggling"). The codec behind this check is lenient where RFC 9112 lets it be; an
//! edge must not be. So every byte of a connection passes here first: heads are held until they are complete and
//! unambiguous, bodies are counted, and the first doubt ends the connection.
//!
//! Pure: bytes in, verdicts out.

mod desync;
mod head;
pub(crate) mod unfold;

use plenipo_model::Desync;

use desync::Judgement;
use head::{Reading, check_request_line, field, folded};

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
    /// The head being looked at.
    reading: Reading,
    /// Accept `Content-Length` beside `Transfer-Encoding: chunked` (the latter decides, RFC 9112 §6.1).
    allow_chunked_length: bool,
    /// Look at request lines, too.
    request_lines: bool,
    /// Tolerate, or refuse, what a load balancer in this mode does.
    desync: Option<Desync>,
    /// The head being looked at may be read differently by others.
    suspect: bool,
    /// Heads passed so far.
    heads: u64,
    /// Nothing passes after the message of this head.
    last: Option<u64>,
    trailer_bytes: usize,
}

/// Why a connection cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// The head is larger than allowed.
    HeadTooLarge,
    /// The text says what is ambiguous or malformed.
    Malformed(&'static str),
    /// A transfer coding that is not implemented (RFC 9112 §6.1).
    UnknownCoding,
    /// A version of HTTP that is not spoken.
    UnknownVersion,
    /// A header field over several lines (RFC 9112 §5.2).
    Folded,
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
    /// Whatever it is: nothing passes after the last message.
    Over,
}

impl Framing {
    /// At the start of a connection.
    pub fn new(max_head: usize, allow_chunked_length: bool) -> Self {
        Self {
            state: State::Head,
            max_head,
            reading: Reading::default(),
            allow_chunked_length,
            request_lines: false,
            desync: None,
            suspect: false,
            heads: 0,
            last: None,
            trailer_bytes: 0,
        }
    }

    /// Treats what could be read in two ways as a load balancer in this mode does.
    #[must_use]
    pub fn with_desync(mut self, mode: Desync) -> Self {
        self.desync = Some(mode);
        self
    }

    /// The number, from 1, of the request after which nothing passes; none as long as there is no reason for it.
    pub fn last(&self) -> Option<u64> {
        self.last
    }

    /// Refuses whatever the codec would refuse in a request line, too: for those who answer such requests themselves.
    #[must_use]
    pub fn with_request_lines(mut self) -> Self {
        self.request_lines = true;
        self
    }

    /// Is the stream between two requests?
    pub fn between_requests(&self) -> bool {
        self.state == State::Head
    }

    /// How many bytes are content whatever they are; none where they have to be looked at.
    pub(crate) fn uninterrupted(&self) -> Option<u64> {
        match self.state {
            State::Body(left) => Some(left),
            _ => None,
        }
    }

    /// So many of those have passed.
    pub(crate) fn pass(&mut self, bytes: u64) {
        if let State::Body(left) = self.state {
            self.state = body(left.saturating_sub(bytes));
        }
    }

    /// Looks at the bytes after those passed before. After a [`Rest::Violation`] it must not be asked again.
    pub fn advance(&mut self, bytes: &[u8]) -> Progress {
        let mut passed = 0;
        let rest = loop {
            let rest = &bytes[passed..];
            if rest.is_empty() {
                break Rest::Nothing;
            }
            if self.last.is_some() && self.state == State::Head {
                break Rest::Over;
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
                self.state = body(left - taken as u64);
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
        let lenient = matches!(self.desync, Some(Desync::Monitor | Desync::Defensive));
        if lenient && rest.starts_with(b"\n") {
            return Ok(Some(1));
        }
        // A head that comes byte by byte is not read from its beginning for each of them.
        let mut reading = std::mem::take(&mut self.reading);
        let length = match reading.advance(rest, lenient)? {
            Some(length) => length,
            None if rest.len() > self.max_head => return Err(Violation::HeadTooLarge),
            None => {
                self.reading = reading;
                return Ok(None);
            }
        };
        if length > self.max_head {
            return Err(Violation::HeadTooLarge);
        }
        let head = &rest[..length];
        if self.request_lines {
            check_request_line(head)?;
        }
        let body = reading.body(self.allow_chunked_length, lenient);
        if let Some(mode) = self.desync
            && !matches!(body, Err(Violation::UnknownCoding | Violation::UnknownVersion))
        {
            match desync::judge(mode, head) {
                Judgement::Passes => {}
                Judgement::PassesLast => self.suspect = true,
                Judgement::Refused => {
                    return Err(Violation::Malformed("two readers could read it differently"));
                }
            }
        }
        self.state = match body {
            // What takes folded lines apart tells head and body apart by CRLF.
            Err(Violation::Folded) if lenient => return Err(folded(head)),
            body => body?,
        };
        self.heads += 1;
        self.last = self.suspect.then_some(self.heads);
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

/// Inside a body with so many bytes to come, or behind it.
fn body(left: u64) -> State {
    if left == 0 { State::Head } else { State::Body(left) }
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

#[cfg(test)]
mod tests;
