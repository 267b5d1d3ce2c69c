//! One field of a block, as the type that it is in a request.

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Method};

/// A field, as the type that it is in a request.
#[derive(Debug, Clone)]
pub(in crate::http2) enum Field {
    /// `:method`
    Method(Method),
    /// `:scheme`
    Scheme(Scheme),
    /// `:authority`
    Authority(Authority),
    /// `:path`
    Path(PathAndQuery),
    /// One that is no pseudo field.
    Header(HeaderName, HeaderValue),
    /// One that no request may have (RFC 9113 §8.2, §8.3): its name, or that and a value that it cannot have.
    Malformed(Name),
}

/// What names a field.
#[derive(Debug, Clone)]
pub(in crate::http2) enum Name {
    Method,
    Scheme,
    Authority,
    Path,
    Header(HeaderName),
    /// One that no field may have, in capitals for example, or a pseudo field that is none of a request.
    Malformed,
}

impl Name {
    /// Names are of lower case (RFC 9113 §8.2.1).
    pub(super) fn new(name: &[u8]) -> Self {
        match name {
            b":method" => Self::Method,
            b":scheme" => Self::Scheme,
            b":authority" => Self::Authority,
            b":path" => Self::Path,
            name => HeaderName::from_lowercase(name).map_or(Self::Malformed, Self::Header),
        }
    }
}

impl Field {
    /// A field, or that it is none.
    pub(super) fn new(name: Name, value: Bytes) -> Self {
        let field = match &name {
            Name::Method => Method::from_bytes(&value).ok().map(Self::Method),
            Name::Scheme if value.is_empty() => None,
            Name::Scheme => Scheme::try_from(&*value).ok().map(Self::Scheme),
            Name::Authority => Authority::from_maybe_shared(value).ok().map(Self::Authority),
            Name::Path => path(value).map(Self::Path),
            Name::Header(header) => {
                HeaderValue::from_maybe_shared(value).ok().map(|value| Self::Header(header.clone(), value))
            }
            Name::Malformed => None,
        };
        field.unwrap_or(Self::Malformed(name))
    }

    /// Its name, for a field that has it too.
    pub(super) fn name(&self) -> Name {
        match self {
            Self::Method(_) => Name::Method,
            Self::Scheme(_) => Name::Scheme,
            Self::Authority(_) => Name::Authority,
            Self::Path(_) => Name::Path,
            Self::Header(name, _) => Name::Header(name.clone()),
            Self::Malformed(name) => name.clone(),
        }
    }
}

/// A path as it stands in a request line of HTTP/1: absolute, or an asterisk (RFC 9113 §8.3.1). The type would take the
/// fragment off and go on.
fn path(value: Bytes) -> Option<PathAndQuery> {
    let first = value.first()?;
    if (*first != b'/' && &*value != b"*") || value.contains(&b'#') {
        return None;
    }
    PathAndQuery::from_maybe_shared(value).ok()
}
