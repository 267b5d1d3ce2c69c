//! A block of fields, made the head of a request, or trailers (RFC 9113 §8).

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, header};

use super::hpack::Field;
use crate::fields::Fields;
use crate::message::RequestHead;

/// Fields that a request gets on its way through, about.
const ADDED: usize = 8;
/// Fields of an ordinary request.
const USUAL: usize = 8;

/// Why a block is no head, and no trailers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It breaks the rules (§8.1.1).
    Malformed,
    /// It is larger than allowed.
    TooLarge,
}

/// What is known of a block, field by field.
#[derive(Debug)]
pub(super) struct Block {
    method: Option<Method>,
    scheme: Option<Scheme>,
    authority: Option<Authority>,
    path: Option<PathAndQuery>,
    fields: Fields,
    /// Bytes, as RFC 7541 §4.1 counts them.
    size: usize,
    fault: Option<Fault>,
}

impl Block {
    pub(super) fn new() -> Self {
        Self {
            method: None,
            scheme: None,
            authority: None,
            path: None,
            fields: Fields::with_capacity(USUAL + ADDED),
            size: 0,
            fault: None,
        }
    }

    /// Takes a field of so many bytes; of all there may be `most`. What is too much, or wrong, is not kept.
    pub(super) fn take(&mut self, field: &Field, size: usize, most: usize) {
        self.size = self.size.saturating_add(size);
        if self.size > most {
            self.fault = Some(Fault::TooLarge);
            self.fields.clear();
        }
        if self.fault.is_some() {
            return;
        }
        let fresh = match field {
            Field::Header(name, value) => {
                let allowed = !belongs_to_connections(name, value.as_bytes());
                self.fields.append(name, value.clone());
                allowed
            }
            Field::Method(method) => self.is_before_fields() && self.method.replace(method.clone()).is_none(),
            Field::Scheme(scheme) => self.is_before_fields() && self.scheme.replace(scheme.clone()).is_none(),
            Field::Authority(authority) => {
                self.is_before_fields() && self.authority.replace(authority.clone()).is_none()
            }
            Field::Path(path) => self.is_before_fields() && self.path.replace(path.clone()).is_none(),
            Field::Malformed(_) => false,
        };
        if !fresh {
            self.fault = Some(Fault::Malformed);
        }
    }

    /// §8.3: no pseudo field comes behind a field that is none.
    fn is_before_fields(&self) -> bool {
        self.fields.is_empty()
    }

    /// The head of a request (§8.3.1).
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn into_request(self) -> Result<RequestHead, Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let method = self.method.ok_or(Fault::Malformed)?;
        let mut parts = http::uri::Parts::default();
        match (method == Method::CONNECT, self.scheme, self.path) {
            // §8.5
            (true, None, None) => parts.authority = Some(self.authority.ok_or(Fault::Malformed)?),
            (false, Some(scheme), Some(path)) => {
                parts.path_and_query = Some(path);
                // The type has no scheme without an authority.
                parts.scheme = self.authority.is_some().then_some(scheme);
                parts.authority = self.authority;
            }
            _ => return Err(Fault::Malformed),
        }
        let uri = Uri::from_parts(parts).map_err(|_| Fault::Malformed)?;
        Ok(RequestHead { method, uri, version: Version::HTTP_2, headers: self.fields })
    }

    /// Trailers: they have no pseudo fields (§8.1).
    ///
    /// # Errors
    /// When they are none.
    pub(super) fn into_trailers(self) -> Result<HeaderMap, Fault> {
        let pseudo =
            self.method.is_some() || self.scheme.is_some() || self.authority.is_some() || self.path.is_some();
        match self.fault {
            Some(fault) => Err(fault),
            None if pseudo => Err(Fault::Malformed),
            None => Ok(self.fields.into()),
        }
    }
}

/// Is it a field that speaks of a connection of HTTP/1 (§8.2.2)?
fn belongs_to_connections(name: &HeaderName, value: &[u8]) -> bool {
    match name.as_str() {
        "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade" => true,
        "te" => !value.trim_ascii().eq_ignore_ascii_case(b"trailers"),
        _ => false,
    }
}

/// The length that a request says its body has. Of none, and of several alike, the stages tell the client.
///
/// # Errors
/// When nobody could go by what it says.
pub(super) fn length(fields: &Fields) -> Result<Option<u64>, Fault> {
    let mut length = None;
    let said = fields.get_all(header::CONTENT_LENGTH).iter().map(HeaderValue::as_bytes);
    for digits in said.filter(|digits| !digits.is_empty()) {
        let is_number = digits.iter().all(u8::is_ascii_digit);
        let number = str::from_utf8(digits).ok().filter(|_| is_number).and_then(|digits| digits.parse().ok());
        let number = number.ok_or(Fault::Malformed)?;
        if length.replace(number).is_some_and(|before| before != number) {
            return Err(Fault::Malformed);
        }
    }
    Ok(length)
}
