//! The bytes of a head, made types. Values and the target are slices of one copy of it.

use std::mem::MaybeUninit;

use bytes::{Buf as _, Bytes, BytesMut};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING,
    CONTENT_LENGTH, CONTENT_TYPE, COOKIE, DATE, ETAG, HOST, LAST_MODIFIED, ORIGIN, REFERER, SERVER,
    SET_COOKIE, TRANSFER_ENCODING, USER_AGENT, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};
use httparse::{Header, Status};
use hyper::ext::ReasonPhrase;
use memchr::memchr_iter;

use super::Error;
use crate::fields::Fields;
use crate::message::{RequestHead, ResponseHead};

/// Fields that are parsed without asking for memory.
const USUAL: usize = 256;
/// Bytes of a request's target that its type can hold.
const LONGEST_TARGET: usize = u16::MAX as usize - 1;
/// Fields that a message gets on its way through, about.
const ADDED: usize = 8;
/// Of a head whose end was found.
const UNENDING: Error = Error::Malformed("the head does not end where it seems to");

/// Takes the head of a request from the front of `bytes`; none when it has not come to its end. Of `bytes`, `seen` were
/// looked at before. The head may have `most` fields.
///
/// # Errors
/// What is no head, as soon as that shows.
pub(super) fn request(bytes: &mut BytesMut, seen: usize, most: usize) -> Result<Option<RequestHead>, Error> {
    front(bytes, seen, |read| {
        with_fields(most, |fields| {
            let mut parsed = httparse::Request::new(&mut []);
            match parsed.parse_with_uninit_headers(read, fields).map_err(malformed)? {
                Status::Complete(length) => {
                    Ok(Some((length, request_of(&Text::new(read, length), &parsed)?)))
                }
                Status::Partial => Ok(None),
            }
        })
    })
}

/// As [`request()`], for the head of a response.
pub(super) fn response(
    bytes: &mut BytesMut,
    seen: usize,
    most: usize,
) -> Result<Option<ResponseHead>, Error> {
    front(bytes, seen, |read| {
        with_fields(most, |fields| {
            let mut parsed = httparse::Response::new(&mut []);
            let config = httparse::ParserConfig::default();
            match config.parse_response_with_uninit_headers(&mut parsed, read, fields).map_err(malformed)? {
                Status::Complete(length) => {
                    Ok(Some((length, response_of(&Text::new(read, length), &parsed)?)))
                }
                Status::Partial => Ok(None),
            }
        })
    })
}

/// The fields of a trailer section, with the empty line that ends it.
pub(super) fn trailers(section: &Bytes, most: usize) -> Result<HeaderMap, Error> {
    let mut fields = vec![httparse::EMPTY_HEADER; most];
    match httparse::parse_headers(section, &mut fields).map_err(malformed)? {
        Status::Complete((_, fields)) => {
            let text = Text { read: section, copy: section.clone() };
            fields_of(&text, fields).map(HeaderMap::from)
        }
        Status::Partial => Err(Error::Malformed("the trailers are malformed")),
    }
}

/// The text of a head, in a copy: what is kept of it does not hold the buffer that it was read into, which is the next
/// one's, and still in the processor's caches.
struct Text<'a> {
    read: &'a [u8],
    copy: Bytes,
}

impl<'a> Text<'a> {
    fn new(read: &'a [u8], length: usize) -> Self {
        Self { read, copy: Bytes::copy_from_slice(&read[..length]) }
    }

    /// The copy of a part of what was read.
    fn part(&self, part: &[u8]) -> Bytes {
        // Of nothing there is no place.
        if part.is_empty() {
            return Bytes::new();
        }
        let at = part.as_ptr().addr() - self.read.as_ptr().addr();
        self.copy.slice(at..at + part.len())
    }
}

/// Takes a head off the front, once it is complete. What has not come to its end is parsed once, so that what is no head is
/// found early, and then only when there is an end.
fn front<T>(
    bytes: &mut BytesMut,
    seen: usize,
    parse: impl FnOnce(&[u8]) -> Result<Option<(usize, T)>, Error>,
) -> Result<Option<T>, Error> {
    let mut seen = seen;
    // RFC 9112 §2.2: empty lines may come before a head.
    while let [b'\n', ..] | [b'\r', b'\n', ..] = bytes[..] {
        let length = if bytes[0] == b'\n' { 1 } else { 2 };
        bytes.advance(length);
        seen = 0;
    }
    if bytes.is_empty() || (seen > 0 && end(bytes, seen).is_none()) {
        return Ok(None);
    }
    match parse(bytes)? {
        Some((length, head)) => {
            bytes.advance(length);
            Ok(Some(head))
        }
        None if end(bytes, 0).is_some() => Err(UNENDING),
        None => Ok(None),
    }
}

/// Where the head at the front of `bytes` ends, with the empty line behind it. Up to `seen` there was no end.
fn end(bytes: &[u8], seen: usize) -> Option<usize> {
    let start = seen.saturating_sub(2);
    memchr_iter(b'\n', &bytes[start..]).find_map(|at| match bytes[start + at + 1..] {
        [b'\n', ..] => Some(start + at + 2),
        [b'\r', b'\n', ..] => Some(start + at + 3),
        _ => None,
    })
}

/// Calls `parse` with room for fields.
fn with_fields<'b, T>(
    most: usize,
    parse: impl Fn(&mut [MaybeUninit<Header<'b>>]) -> Result<Option<T>, Error>,
) -> Result<Option<T>, Error> {
    let mut usual = [const { MaybeUninit::uninit() }; USUAL];
    match parse(&mut usual[..most.min(USUAL)]) {
        Err(Error::TooManyFields) if most > USUAL => {
            let mut fields: Vec<_> = (0..most).map(|_| MaybeUninit::uninit()).collect();
            parse(&mut fields)
        }
        outcome => outcome,
    }
}

fn request_of(head: &Text<'_>, parsed: &httparse::Request<'_, '_>) -> Result<RequestHead, Error> {
    let method = Method::from_bytes(parsed.method.unwrap_or_default().as_bytes());
    let target = parsed.path.unwrap_or_default().as_bytes();
    if target.len() > LONGEST_TARGET {
        return Err(Error::TargetTooLong);
    }
    let target = Uri::from_maybe_shared(head.part(target));
    Ok(RequestHead {
        method: method.map_err(|_| Error::Malformed("the method is malformed"))?,
        uri: target.map_err(|_| Error::Malformed("the target is malformed"))?,
        version: version(parsed.version),
        headers: fields_of(head, parsed.headers)?,
    })
}

fn response_of(head: &Text<'_>, parsed: &httparse::Response<'_, '_>) -> Result<ResponseHead, Error> {
    let status = StatusCode::from_u16(parsed.code.unwrap_or_default());
    let status = status.map_err(|_| Error::Malformed("the status is malformed"))?;
    let reason = parsed.reason.filter(|reason| status.canonical_reason() != Some(*reason));
    let reason = reason.and_then(|text| ReasonPhrase::try_from(head.part(text.as_bytes())).ok());
    Ok(ResponseHead {
        status,
        version: version(parsed.version),
        headers: fields_of(head, parsed.headers)?,
        reason: reason.map(Box::new),
    })
}

fn version(minor: Option<u8>) -> Version {
    if minor == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 }
}

fn fields_of(head: &Text<'_>, parsed: &[Header<'_>]) -> Result<Fields, Error> {
    const MALFORMED: Error = Error::Malformed("a header field is malformed");
    let mut fields = Fields::with_capacity(parsed.len() + ADDED);
    for Header { name, value } in parsed {
        let name = match usual(name.as_bytes()) {
            Some(name) => name,
            None => HeaderName::from_bytes(name.as_bytes()).map_err(|_| MALFORMED)?,
        };
        let value = HeaderValue::from_maybe_shared(head.part(value)).map_err(|_| MALFORMED)?;
        fields.append(name, value);
    }
    Ok(fields)
}

/// The names that most heads have, as they are mostly written: found by a few bytes, with no copy in lower case to be made.
fn usual(name: &[u8]) -> Option<HeaderName> {
    Some(match name {
        b"Host" | b"host" => HOST,
        b"Date" | b"date" => DATE,
        b"ETag" | b"etag" => ETAG,
        b"Vary" | b"vary" => VARY,
        b"Accept" | b"accept" => ACCEPT,
        b"Cookie" | b"cookie" => COOKIE,
        b"Origin" | b"origin" => ORIGIN,
        b"Server" | b"server" => SERVER,
        b"Referer" | b"referer" => REFERER,
        b"Connection" | b"connection" => CONNECTION,
        b"Set-Cookie" | b"set-cookie" => SET_COOKIE,
        b"User-Agent" | b"user-agent" => USER_AGENT,
        b"Content-Type" | b"content-type" => CONTENT_TYPE,
        b"Authorization" | b"authorization" => AUTHORIZATION,
        b"Cache-Control" | b"cache-control" => CACHE_CONTROL,
        b"Last-Modified" | b"last-modified" => LAST_MODIFIED,
        b"Content-Length" | b"content-length" => CONTENT_LENGTH,
        b"Accept-Encoding" | b"accept-encoding" => ACCEPT_ENCODING,
        b"Accept-Language" | b"accept-language" => ACCEPT_LANGUAGE,
        b"Content-Encoding" | b"content-encoding" => CONTENT_ENCODING,
        b"Transfer-Encoding" | b"transfer-encoding" => TRANSFER_ENCODING,
        _ => return None,
    })
}

fn malformed(error: httparse::Error) -> Error {
    use httparse::Error as Parse;
    Error::Malformed(match error {
        Parse::TooManyHeaders => return Error::TooManyFields,
        Parse::HeaderName => "the name of a header field is malformed",
        Parse::HeaderValue => "the value of a header field is malformed",
        Parse::NewLine => "the end of a line is malformed",
        Parse::Status => "the status is malformed",
        Parse::Token => "the first line is malformed",
        Parse::Version => "the version is unknown",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_are_what_they_would_be_without_haste() {
        let names = "Host Date ETag Vary Accept Cookie Origin Server Referer Connection Set-Cookie User-Agent Content-Type \
            Authorization Cache-Control Last-Modified Content-Length Accept-Encoding Accept-Language Content-Encoding \
            Transfer-Encoding";
        for name in names.split_whitespace() {
            for written in [name.to_owned(), name.to_ascii_lowercase()] {
                let slowly = HeaderName::from_bytes(written.as_bytes()).ok();
                assert_eq!(usual(written.as_bytes()), slowly, "{written}");
            }
            assert_eq!(usual(name.to_ascii_uppercase().as_bytes()), None);
        }
    }
}
