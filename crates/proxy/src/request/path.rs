//! One canonical form of a path, so that a rule for `/admin` cannot be walked around with `/%61dmin` or `/x/../admin`.

use std::borrow::Cow;

use plenipo_model::PathPolicy;

use super::Refused;

#[cfg(test)]
mod tests;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// The canonical form of a request target in origin form; the query (from the first `?`) is not touched.
///
/// Escapes of unreserved characters are decoded (RFC 3986 §6.2.2.2), `\` becomes `/`, dot segments are resolved
/// (§5.2.4; `%2e` is a dot), characters that no URL may hold are escaped, all other escapes stay as they are, letter
/// case included, and a `%` that begins no escape passes: the same as Envoy does, whose users' routes rely on it. The
/// policy may ask for more, or for none of this. Applying it twice changes nothing more. `*` stays `*`; it is for the caller to refuse it unless the method is
/// `OPTIONS`.
///
/// # Errors
/// 400 for a target that does not begin with `/`, holds a fragment, `%00`, or raw control, space or non-ASCII bytes,
/// and for `%2F` or `%5C` when the policy says so.
pub fn canonical_path(path_and_query: &str, policy: PathPolicy) -> Result<Cow<'_, str>, Refused> {
    if path_and_query == "*" {
        return Ok(Cow::Borrowed(path_and_query));
    }
    if !path_and_query.starts_with('/') {
        return Err(Refused::bad_request("path_not_absolute"));
    }
    if path_and_query.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return Err(Refused::bad_request("path_invalid_character"));
    }
    if path_and_query.contains('#') {
        return Err(Refused::bad_request("path_has_fragment"));
    }
    if policy.as_written {
        return if holds_nul(path_and_query) {
            Err(Refused::bad_request("path_holds_nul"))
        } else {
            Ok(Cow::Borrowed(path_and_query))
        };
    }
    let (path, query) = path_and_query.split_at(path_and_query.find('?').unwrap_or(path_and_query.len()));
    if is_canonical(path, policy) {
        return Ok(Cow::Borrowed(path_and_query));
    }
    let mut canonical = resolve_dots(&decode(path, policy)?);
    if policy.merge_slashes {
        canonical.dedup_by(|next, before| *next == b'/' && *before == b'/');
    }
    canonical.extend_from_slice(query.as_bytes());
    // Only ASCII came in, and only ASCII is decoded.
    String::from_utf8(canonical).map(Cow::Owned).map_err(|_| Refused::bad_request("path_invalid_character"))
}

/// Does its path, decoded, hold a byte that ends a text in some languages?
fn holds_nul(path_and_query: &str) -> bool {
    path_and_query.split('?').next().is_some_and(|path| path.contains("%00"))
}

/// A quick test that most paths pass: nothing in it that any of the steps could change.
fn is_canonical(path: &str, policy: PathPolicy) -> bool {
    let bytes = path.as_bytes();
    let plain = bytes.iter().all(|byte| *byte != b'%' && *byte != b'\\' && !must_be_escaped(*byte));
    let no_dots = !path.contains("/.") || !path.split('/').any(|segment| matches!(segment, "." | ".."));
    let no_doubles = !policy.merge_slashes || !path.contains("//");
    plain && no_dots && no_doubles
}

/// Characters outside of RFC 3986's path that browsers, too, send escaped.
fn must_be_escaped(byte: u8) -> bool {
    matches!(byte, b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}')
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Decodes what need not be escaped and escapes what must be.
fn decode(path: &str, policy: PathPolicy) -> Result<Vec<u8>, Refused> {
    let bytes = path.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    // The last `%` in `out` that begins no escape.
    let mut lone = None;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'%' => match escaped(&bytes[at..]) {
                Some(0) => return Err(Refused::bad_request("path_holds_nul")),
                Some(b'/' | b'\\') if policy.reject_escaped_slashes => {
                    return Err(Refused::bad_request("path_escaped_slash"));
                }
                Some(b'/' | b'\\') if policy.decode_escaped_slashes => {
                    out.push(b'/');
                    at += 2;
                }
                Some(decoded) => {
                    if is_unreserved(decoded) {
                        out.push(decoded);
                    } else {
                        out.extend_from_slice(&bytes[at - 1..at + 2]);
                    }
                    at += 2;
                }
                None => {
                    lone = Some(out.len());
                    out.push(byte);
                }
            },
            b'\\' => out.push(b'/'),
            _ if must_be_escaped(byte) => {
                out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
            _ => out.push(byte),
        }
        if let Some(percent) = lone.filter(|percent| out.len() >= percent + 3) {
            lone = None;
            // `%%36%31` must not become the escape `%61`: whoever decodes next would see something else than we did.
            if escaped(&out[percent + 1..]).is_some() {
                out.splice(percent + 1..percent + 1, *b"25");
            }
        }
    }
    Ok(out)
}

/// The byte that the two hex digits at the front stand for.
fn escaped(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| digits.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    u8::try_from(digit(0)? << 4 | digit(1)?).ok()
}

/// RFC 3986 §5.2.4. A path that would climb over the root stays at the root.
fn resolve_dots(path: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(path.len());
    let mut segments = path.split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            b"." => {}
            b".." => out.truncate(out.iter().rposition(|byte| *byte == b'/').unwrap_or(0)),
            _ => {
                out.push(b'/');
                out.extend_from_slice(segment);
                continue;
            }
        }
        if last {
            out.push(b'/');
        }
    }
    out
}
