//! Heads and bodies as bytes.

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    DATE, HOST, MAX_FORWARDS, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING,
};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use http_body::{Frame, SizeHint};

use super::decode::content_length;
use super::{Error, says};
use crate::date;
use crate::fields::Fields;
use crate::message::{RequestHead, ResponseHead};
use crate::output::Output;

/// Most heads are shorter than this.
const HEAD: usize = 1000;

/// How a body is framed.
#[derive(Debug)]
pub(super) enum Framing {
    /// So many bytes are to come.
    Length(u64),
    /// Chunks, and at the end those trailers that were announced.
    Chunked(Vec<HeaderName>),
    /// The end of the connection is its end.
    UntilEnd,
}

impl Framing {
    /// Is there nothing to come, not even an end?
    pub(super) fn is_complete(&self) -> bool {
        matches!(self, Self::Length(0))
    }

    /// Writes a piece of a body (none is its end; `last` tells that it is the last). True when the body is complete by it.
    ///
    /// # Errors
    /// [`Error::Aborted`] when the body is shorter than was told.
    pub(super) fn frame(
        &mut self,
        frame: Option<Frame<Bytes>>,
        last: bool,
        case: Case,
        output: &mut Output,
    ) -> Result<bool, Error> {
        match frame.map(Frame::into_data) {
            Some(Ok(data)) => {
                self.data(data, output);
                if !last && !self.is_complete() {
                    return Ok(false);
                }
                self.end(None, case, output)?;
            }
            Some(Err(other)) => self.end(other.trailers_ref(), case, output)?,
            None => self.end(None, case, output)?,
        }
        Ok(true)
    }

    /// How many bytes may be sent as they are, if nothing goes between them.
    pub(super) fn uninterrupted(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Chunked(_) | Self::UntilEnd => None,
        }
    }

    /// As [`Framing::frame`], where so many of those bytes go another way.
    ///
    /// # Errors
    /// As there.
    pub(super) fn passed(&mut self, bytes: u64, last: bool) -> Result<bool, Error> {
        if let Self::Length(left) = self {
            *left = left.saturating_sub(bytes);
        }
        match self.is_complete() {
            false if last => Err(Error::Aborted),
            complete => Ok(complete),
        }
    }

    /// What is beyond the length that was told is not written.
    fn data(&mut self, mut data: Bytes, output: &mut Output) {
        match self {
            Self::Length(left) => {
                data.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= data.len() as u64;
                output.push(data);
            }
            Self::UntilEnd => output.push(data),
            // An empty chunk would be the last.
            Self::Chunked(_) if data.is_empty() => {}
            Self::Chunked(_) => {
                hexadecimal(data.len(), output.text());
                output.text().extend_from_slice(b"\r\n");
                output.push(data);
                output.text().extend_from_slice(b"\r\n");
            }
        }
    }

    fn end(&self, trailers: Option<&HeaderMap>, case: Case, output: &mut Output) -> Result<(), Error> {
        match self {
            Self::Length(0) | Self::UntilEnd => Ok(()),
            Self::Length(_) => Err(Error::Aborted),
            Self::Chunked(announced) => {
                output.text().extend_from_slice(b"0\r\n");
                let fields = trailers.into_iter().flatten();
                for (name, value) in fields.filter(|(name, _)| announced.contains(name) && may_trail(name)) {
                    field(name, value, case, output.text());
                }
                output.text().extend_from_slice(b"\r\n");
                Ok(())
            }
        }
    }
}

/// How the names of fields are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// `content-length`.
    Lower,
    /// `Content-Length`.
    Title,
}

/// The head of a request to be sent. It is only looked at: whoever sends it may have to send it again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<'a> {
    /// Method.
    pub(crate) method: &'a Method,
    /// Path and query.
    pub(crate) target: &'a str,
    /// Fields.
    pub(crate) headers: &'a Fields,
}

impl<'a> From<&'a RequestHead> for Head<'a> {
    fn from(parts: &'a RequestHead) -> Self {
        let target = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        Self { method: &parts.method, target, headers: &parts.headers }
    }
}

/// Writes the head of a request, and tells how its body (none, or one of this size) is framed.
///
/// # Errors
/// When its `Content-Length` is none.
pub(super) fn request(head: Head<'_>, body: Option<SizeHint>, output: &mut Output) -> Result<Framing, Error> {
    let (framing, length) = request_framing(head.headers, body)?;
    let text = output.text();
    text.reserve(HEAD);
    text.extend_from_slice(head.method.as_str().as_bytes());
    text.push(b' ');
    text.extend_from_slice(head.target.as_bytes());
    text.extend_from_slice(b" HTTP/1.1\r\n");
    let in_chunks = matches!(framing, Framing::Chunked(_));
    for (name, value) in head.headers {
        let framed_here = *name == TRANSFER_ENCODING || (in_chunks && *name == CONTENT_LENGTH);
        if !framed_here {
            field(name, value, Case::Lower, text);
        }
    }
    if let Some(length) = length {
        named(&CONTENT_LENGTH, Case::Lower, text);
        decimal(length, text);
        text.extend_from_slice(b"\r\n");
    }
    if in_chunks {
        text.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    text.extend_from_slice(b"\r\n");
    Ok(framing)
}

/// How the body of a request is framed, by what its fields say and what is known of it, and the `Content-Length` that they
/// do not say.
fn request_framing(headers: &Fields, body: Option<SizeHint>) -> Result<(Framing, Option<u64>), Error> {
    let Some(size) = body else { return Ok((Framing::Length(0), None)) };
    if !headers.contains_key(TRANSFER_ENCODING) {
        if let Some(length) = content_length(headers)? {
            return Ok((Framing::Length(length), None));
        }
        if let Some(length) = size.exact() {
            return Ok((Framing::Length(length), Some(length)));
        }
    }
    Ok((Framing::Chunked(announced(headers)), None))
}

/// What a response answers, as far as its head depends on it.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// Method of the request.
    pub(super) method: Method,
    /// Version that the client speaks.
    pub(super) version: Version,
    /// The client takes trailers.
    pub(super) trailers: bool,
    /// The connection may go on.
    pub(super) keep_alive: bool,
}

impl Asked {
    /// What was no request.
    pub(super) fn nothing() -> Self {
        Self { method: Method::GET, version: Version::HTTP_11, trailers: false, keep_alive: false }
    }
}

/// Writes the head of a response, and tells how its body (none, or one of this size) is framed, and whether the connection
/// may go on behind it.
///
/// # Errors
/// When it is no final response, or its `Content-Length` is no length.
pub(super) fn response(
    head: &ResponseHead,
    body: Option<SizeHint>,
    asked: &Asked,
    case: Case,
    output: &mut Output,
) -> Result<(Framing, bool), Error> {
    let upgrades = head.status == StatusCode::SWITCHING_PROTOCOLS;
    if head.status.is_informational() && !upgrades {
        return Err(Error::Aborted);
    }
    let (framing, length) = response_framing(head, body, asked)?;
    let closes = says(&head.headers, &CONNECTION, b"close");
    let keep_alive = asked.keep_alive && !closes && !matches!(framing, Framing::UntilEnd);
    let text = output.text();
    text.reserve(HEAD);
    status_line(head, asked.version, text);
    let in_chunks = matches!(framing, Framing::Chunked(_));
    for (name, value) in &head.headers {
        let framed_here = [CONTENT_LENGTH, TRANSFER_ENCODING].contains(name);
        if !framed_here && (in_chunks || *name != TRAILER) {
            field(name, value, case, text);
        }
    }
    if let Some(length) = length {
        named(&CONTENT_LENGTH, case, text);
        decimal(length, text);
        text.extend_from_slice(b"\r\n");
    }
    if in_chunks {
        field(&TRANSFER_ENCODING, &HeaderValue::from_static("chunked"), case, text);
    }
    let told = match (keep_alive, asked.version) {
        (true, Version::HTTP_10) => Some("keep-alive"),
        (false, Version::HTTP_11) if !closes && !upgrades => Some("close"),
        _ => None,
    };
    if let Some(told) = told {
        field(&CONNECTION, &HeaderValue::from_static(told), case, text);
    }
    if !head.headers.contains_key(DATE) {
        named(&DATE, case, text);
        date::with_now(|date| text.extend_from_slice(date));
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    Ok((framing, keep_alive))
}

/// How the body of a response is framed, and the `Content-Length` that is told.
fn response_framing(
    head: &ResponseHead,
    body: Option<SizeHint>,
    asked: &Asked,
) -> Result<(Framing, Option<u64>), Error> {
    let stated = || content_length(&head.headers);
    let known = body.as_ref().map_or(Some(0), SizeHint::exact);
    if asked.method == Method::HEAD {
        // The length of what is not sent, if it is known.
        return Ok((Framing::Length(0), stated()?.or(known.filter(|known| *known > 0))));
    }
    if head.status.is_informational()
        || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
    {
        return Ok((Framing::Length(0), None));
    }
    Ok(match (known, asked.version) {
        (Some(known), _) => (Framing::Length(known), Some(known)),
        (None, version) => match stated()? {
            Some(length) => (Framing::Length(length), Some(length)),
            None if version == Version::HTTP_10 => (Framing::UntilEnd, None),
            // Trailers are for who asked for them.
            None if !asked.trailers => (Framing::Chunked(Vec::new()), None),
            None => (Framing::Chunked(announced(&head.headers)), None),
        },
    })
}

fn status_line(head: &ResponseHead, version: Version, text: &mut Vec<u8>) {
    let reason = head.reason.as_deref();
    let version: &[u8] = if version == Version::HTTP_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " };
    text.extend_from_slice(version);
    text.extend_from_slice(head.status.as_str().as_bytes());
    text.push(b' ');
    text.extend_from_slice(match reason {
        Some(reason) => reason.as_bytes(),
        None => head.status.canonical_reason().unwrap_or("<none>").as_bytes(),
    });
    text.extend_from_slice(b"\r\n");
}

/// The trailers that `Trailer` names.
fn announced(headers: &Fields) -> Vec<HeaderName> {
    let names =
        headers.get_all(TRAILER).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()).collect()
}

/// RFC 9110 §6.5.1: what frames, routes or changes what has gone before is no trailer.
fn may_trail(name: &HeaderName) -> bool {
    const NEVER: [HeaderName; 12] = [
        AUTHORIZATION,
        CACHE_CONTROL,
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        CONTENT_RANGE,
        CONTENT_TYPE,
        HOST,
        MAX_FORWARDS,
        SET_COOKIE,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
    ];
    !NEVER.contains(name)
}

fn field(name: &HeaderName, value: &HeaderValue, case: Case, text: &mut Vec<u8>) {
    named(name, case, text);
    text.extend_from_slice(value.as_bytes());
    text.extend_from_slice(b"\r\n");
}

fn named(name: &HeaderName, case: Case, text: &mut Vec<u8>) {
    let start = text.len();
    text.extend_from_slice(name.as_str().as_bytes());
    if case == Case::Title {
        let mut begins = true;
        for byte in &mut text[start..] {
            if begins {
                byte.make_ascii_uppercase();
            }
            begins = *byte == b'-';
        }
    }
    text.extend_from_slice(b": ");
}

fn decimal(number: u64, text: &mut Vec<u8>) {
    text.extend_from_slice(crate::headers::decimal(number, &mut [0; 20]));
}

fn hexadecimal(number: usize, text: &mut Vec<u8>) {
    let digits = (usize::BITS - number.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        text.push(b"0123456789abcdef"[number >> (4 * digit) & 15]);
    }
}
