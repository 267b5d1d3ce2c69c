//! Where a body ends, and what of the bytes read is its content (RFC 9112 §6.3, §7.1).

use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderValue, Method, StatusCode, Version};
use http_body::{Frame, SizeHint};
use memchr::memchr;

use super::{Error, parse};
use crate::fields::Fields;
use crate::input::Input;
use crate::io::Source;
use crate::message::{RequestHead, ResponseHead};
use crate::pipe::Pipe;

/// Bytes of the extensions of all chunks of a body. Nobody needs any; without end they would keep us busy with nothing.
const MOST_EXTENSION: usize = 16 * 1024;
/// Bytes of a trailer section.
const MOST_TRAILERS: usize = 16 * 1024;

const MALFORMED_SIZE: Error = Error::Malformed("a chunk's size is malformed");

/// The rest of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decoder {
    /// Nothing.
    Done,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked(Chunked),
    /// Whatever comes until the connection ends.
    UntilEnd,
}

/// Where among chunks the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunked {
    at: At,
    /// Bytes of extensions so far.
    extensions: usize,
    /// Fields that the trailers may have.
    most_fields: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Size,
    Data(u64),
    DataEnd,
    Trailers,
}

/// What the front of the bytes is.
#[derive(Debug)]
pub(super) enum Decoded {
    /// Content, or trailers.
    Frame(Frame<Bytes>),
    /// Nothing that could be told before more is read.
    More,
    /// The body is complete.
    End,
}

impl Decoder {
    /// For a body of chunks, with so many fields of trailers at most.
    pub(super) fn chunked(most_fields: usize) -> Self {
        Self::Chunked(Chunked { at: At::Size, extensions: 0, most_fields })
    }

    /// For a body with a length.
    pub(super) fn length(length: u64) -> Self {
        if length == 0 { Self::Done } else { Self::Length(length) }
    }

    /// For the body of a request (RFC 9112 §6.3). Its length is told once, by one field, from here on; true when it was told
    /// by two, after which nothing may follow on the connection (§6.1).
    ///
    /// # Errors
    /// When the head leaves it open. (What is merely doubtful does not come this far.)
    pub(super) fn of_request(head: &mut RequestHead, most_fields: usize) -> Result<(Self, bool), Error> {
        let headers = &mut head.headers;
        let length = content_length(headers)?;
        let in_chunks = headers.get_all(TRANSFER_ENCODING).iter().next_back().map(ends_in_chunks);
        if let Some(in_chunks) = in_chunks {
            if head.version == Version::HTTP_10 || !in_chunks {
                return Err(Error::Malformed("Transfer-Encoding does not end in chunks"));
            }
            return Ok((Self::chunked(most_fields), headers.remove(CONTENT_LENGTH).is_some()));
        }
        let Some(length) = length else { return Ok((Self::Done, false)) };
        if headers.get_all(CONTENT_LENGTH).iter().nth(1).is_some() {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        Ok((Self::length(length), false))
    }

    /// For the body of a response to a request with this method (RFC 9112 §6.3).
    ///
    /// # Errors
    /// When the head leaves it open.
    pub(super) fn of_response(
        head: &ResponseHead,
        method: &Method,
        most_fields: usize,
    ) -> Result<Self, Error> {
        let status = head.status;
        if *method == Method::HEAD
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        {
            return Ok(Self::Done);
        }
        if let Some(coding) = head.headers.get_all(TRANSFER_ENCODING).iter().next_back() {
            if head.version == Version::HTTP_10 {
                return Err(Error::Malformed("HTTP/1.0 knows no Transfer-Encoding"));
            }
            return Ok(if ends_in_chunks(coding) { Self::chunked(most_fields) } else { Self::UntilEnd });
        }
        Ok(content_length(&head.headers)?.map_or(Self::UntilEnd, Self::length))
    }

    /// Is nothing to come?
    pub(super) fn is_done(&self) -> bool {
        *self == Self::Done
    }

    /// How much is to come, as far as it is known.
    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Done => SizeHint::with_exact(0),
            Self::Length(left) => SizeHint::with_exact(*left),
            Self::Chunked(_) | Self::UntilEnd => SizeHint::default(),
        }
    }

    /// The next frame of the body, of what has come and of what `source` (none when it is closed) has; none at its end.
    ///
    /// # Errors
    /// What is not framed as it should be; [`Error::Ended`] or [`Error::Closed`] when there will be no end.
    pub(super) fn poll_frame(
        &mut self,
        input: &mut Input,
        mut source: Option<&mut impl Source>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Frame<Bytes>>, Error>> {
        loop {
            match self.decode(&mut input.bytes)? {
                Decoded::Frame(frame) => return Poll::Ready(Ok(Some(frame))),
                Decoded::End => return Poll::Ready(Ok(None)),
                Decoded::More => {}
            }
            let Some(source) = source.as_deref_mut() else { return Poll::Ready(Err(Error::Closed)) };
            match (ready!(input.poll_fill(source, cx))?, &self) {
                (0, Self::UntilEnd) => *self = Self::Done,
                (0, _) => return Poll::Ready(Err(Error::Ended)),
                _ => {}
            }
        }
    }

    /// The next piece of a body with a length, but no more than `most` bytes, on its way from socket to socket, if it comes in
    /// bulk and from a socket.
    pub(super) fn pipe(&mut self, input: &mut Input, source: &mut impl Source, most: u64) -> Option<Pipe> {
        let Self::Length(left) = *self else { return None };
        let pipe = input.pipe(source, left.min(most))?;
        *self = Self::length(left.saturating_sub(pipe.held() as u64));
        Some(pipe)
    }

    /// Takes the next piece of the body from the front of `bytes`.
    ///
    /// # Errors
    /// What is not framed as it should be.
    pub(super) fn decode(&mut self, bytes: &mut BytesMut) -> Result<Decoded, Error> {
        match self {
            Self::Done => Ok(Decoded::End),
            _ if bytes.is_empty() => Ok(Decoded::More),
            Self::UntilEnd => Ok(data(bytes.split())),
            Self::Length(left) => {
                let piece = counted(bytes, left);
                if *left == 0 {
                    *self = Self::Done;
                }
                Ok(data(piece))
            }
            Self::Chunked(chunked) => {
                let decoded = chunked.decode(bytes)?;
                let ended = match &decoded {
                    Decoded::End => true,
                    Decoded::Frame(frame) => frame.is_trailers(),
                    Decoded::More => false,
                };
                if ended {
                    *self = Self::Done;
                }
                Ok(decoded)
            }
        }
    }
}

impl Chunked {
    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Decoded, Error> {
        loop {
            match &mut self.at {
                At::Size => {
                    let Some(line) = line(bytes, MOST_EXTENSION)? else { return Ok(Decoded::More) };
                    let (size, extension) = chunk_size(&bytes[..line - 2])?;
                    self.extensions += extension;
                    if self.extensions > MOST_EXTENSION {
                        return Err(Error::Malformed("the extensions of chunks are too long"));
                    }
                    bytes.advance(line);
                    self.at = if size == 0 { At::Trailers } else { At::Data(size) };
                }
                At::Data(_) if bytes.is_empty() => return Ok(Decoded::More),
                At::Data(left) => {
                    let piece = counted(bytes, left);
                    if *left == 0 {
                        self.at = At::DataEnd;
                    }
                    return Ok(data(piece));
                }
                At::DataEnd => match bytes[..] {
                    [b'\r', b'\n', ..] => {
                        bytes.advance(2);
                        self.at = At::Size;
                    }
                    [] | [b'\r'] => return Ok(Decoded::More),
                    _ => return Err(Error::Malformed("a chunk does not end with CRLF")),
                },
                At::Trailers => return trailers(bytes, self.most_fields),
            }
        }
    }
}

fn data(bytes: BytesMut) -> Decoded {
    Decoded::Frame(Frame::data(bytes.freeze()))
}

/// Splits off what is there of `left` bytes.
fn counted(bytes: &mut BytesMut, left: &mut u64) -> BytesMut {
    let length = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
    *left -= length as u64;
    bytes.split_to(length)
}

/// The length of the line at the front, with the CRLF that must end it.
fn line(bytes: &[u8], most: usize) -> Result<Option<usize>, Error> {
    match memchr(b'\n', bytes) {
        Some(at) if at > 0 && memchr(b'\r', &bytes[..at]) == Some(at - 1) => Ok(Some(at + 1)),
        Some(_) => Err(Error::Malformed("a line of chunk framing does not end with CRLF")),
        None if bytes.len() > most => Err(Error::Malformed("a line of chunk framing is too long")),
        // What cannot become such a line need not come to its end.
        None if !bytes.is_empty() => {
            let beginning = bytes.strip_suffix(b"\r").unwrap_or(bytes);
            if beginning.contains(&b'\r') {
                return Err(MALFORMED_SIZE);
            }
            chunk_size(beginning).map(|_| None)
        }
        None => Ok(None),
    }
}

/// The size that the line of a chunk tells, and how much else it says. White space behind the size is what some servers
/// pad it with.
fn chunk_size(line: &[u8]) -> Result<(u64, usize), Error> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    if digits == 0 {
        return Err(MALFORMED_SIZE);
    }
    let mut size = 0u64;
    for digit in &line[..digits] {
        let digit = char::from(*digit).to_digit(16).ok_or(MALFORMED_SIZE)?;
        size = size.checked_mul(16).ok_or(MALFORMED_SIZE)? | u64::from(digit);
    }
    let rest = &line[digits..];
    match rest.iter().find(|byte| !matches!(byte, b' ' | b'\t')) {
        None | Some(b';') => Ok((size, rest.len())),
        Some(_) => Err(MALFORMED_SIZE),
    }
}

/// The trailer section, if it has come to its end.
fn trailers(bytes: &mut BytesMut, most_fields: usize) -> Result<Decoded, Error> {
    let mut length = 0;
    loop {
        let rest = &bytes[length..];
        let Some(at) = memchr(b'\n', rest) else { break };
        if at == 0 || memchr(b'\r', &rest[..at]) != Some(at - 1) {
            return Err(Error::Malformed("a line of trailers does not end with CRLF"));
        }
        length += at + 1;
        if length > MOST_TRAILERS {
            break;
        }
        if at == 1 {
            let section = bytes.split_to(length).freeze();
            if section.len() == 2 {
                return Ok(Decoded::End);
            }
            return Ok(Decoded::Frame(Frame::trailers(parse::trailers(&section, most_fields)?)));
        }
    }
    let rest = &bytes[length.min(bytes.len())..];
    if memchr(b'\r', rest).is_some_and(|at| at + 1 < rest.len() && rest[at + 1] != b'\n') {
        return Err(Error::Malformed("a bare CR inside the trailers"));
    }
    match bytes.len() > MOST_TRAILERS {
        true => Err(Error::Malformed("the trailers are too long")),
        false => Ok(Decoded::More),
    }
}

/// RFC 9112 §6.1: chunks are the last coding, and there is nothing else that tells where the message ends. What is no text names
/// no coding.
fn ends_in_chunks(coding: &HeaderValue) -> bool {
    let codings = coding.to_str().unwrap_or_default();
    codings.rsplit(',').next().is_some_and(|last| last.trim_ascii().eq_ignore_ascii_case("chunked"))
}

/// What `Content-Length` says; a list of equal numbers is one (RFC 9110 §8.6).
///
/// # Errors
/// When it is no number, or says different things.
pub(super) fn content_length(headers: &Fields) -> Result<Option<u64>, Error> {
    let mut length = None;
    for value in headers.get_all(CONTENT_LENGTH).iter() {
        for number in value.as_bytes().split(|byte| *byte == b',') {
            let number =
                decimal(number.trim_ascii()).ok_or(Error::Malformed("Content-Length is no number"))?;
            if length.replace(number).is_some_and(|before| before != number) {
                return Err(Error::Malformed("Content-Length says different things"));
            }
        }
    }
    Ok(length)
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}
