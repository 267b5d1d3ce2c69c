//! HTTP/1.1 messages by the letter of RFC 9112: no leniency anywhere, and independent of the codec under test.

/// The head of a request.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) method: String,
    target: String,
}

impl Head {
    /// The request in one line.
    pub(super) fn shown(&self, body: &[u8]) -> String {
        format!("{} {} {}", self.method, self.target, String::from_utf8_lossy(body))
    }
}

/// Where a message's body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    Length(usize),
    Chunked,
    /// Neither is said.
    Unsaid,
}

/// A body, and the bytes it takes.
type Taken = (Vec<u8>, usize);

/// What ends at the gateway and may not be seen behind it.
const HOP_BY_HOP: &[&str] = &["connection", "keep-alive", "proxy-connection", "upgrade", "expect"];
/// What trailers may not say (RFC 9110 §6.5.1).
const NO_TRAILER: &[&str] = &["content-length", "transfer-encoding", "host", "authorization", "cookie"];

/// Is there a whole head?
pub(super) fn has_head(bytes: &[u8]) -> bool {
    end_of_head(bytes).is_some()
}

/// The request at the front of `bytes`, with its body and its length in bytes; none when it is not complete.
pub(super) fn request(bytes: &[u8]) -> Result<Option<(Head, Vec<u8>, usize)>, String> {
    let Some(length) = end_of_head(bytes) else { return Ok(None) };
    let (line, fields) = head(&bytes[..length])?;
    let parts: Vec<&str> = line.split(' ').collect();
    let [method, target, "HTTP/1.1"] = parts[..] else { return Err(format!("request line {line:?}")) };
    check(is_token(method), "method")?;
    check(target.starts_with('/') || (method, target) == ("OPTIONS", "*"), "target")?;
    check(target.bytes().all(|byte| byte.is_ascii_graphic()), "target")?;
    check(fields.iter().filter(|(name, _)| name == "host").count() == 1, "host")?;
    let hop = fields.iter().find(|(name, _)| HOP_BY_HOP.contains(&name.as_str()));
    check(hop.is_none(), &format!("{hop:?} is hop by hop"))?;
    let head = Head { method: method.to_owned(), target: target.to_owned() };
    let framing = match framing(&fields)? {
        Body::Unsaid => Body::Length(0),
        said => said,
    };
    Ok(body(&bytes[length..], framing)?.map(|(body, taken)| (head, body, length + taken)))
}

/// All responses in `bytes`, which are to be nothing else: status and body. `is_head` tells whether the request with this
/// number was a HEAD.
pub(super) fn responses(
    mut bytes: &[u8],
    is_head: impl Fn(usize) -> bool,
) -> Result<Vec<(u16, String)>, String> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let length = end_of_head(bytes)
            .ok_or_else(|| format!("half a response: {:?}", String::from_utf8_lossy(bytes)))?;
        let (line, fields) = head(&bytes[..length])?;
        let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse::<u16>().ok());
        let status = status.ok_or_else(|| format!("status line {line:?}"))?;
        bytes = &bytes[length..];
        if (100..200).contains(&status) {
            continue;
        }
        let framing = match framing(&fields)? {
            _ if is_head(found.len()) || matches!(status, 204 | 304) => Body::Length(0),
            Body::Unsaid => Body::Length(bytes.len()),
            said => said,
        };
        let (body, taken) = body(bytes, framing)?.ok_or("a response is cut")?;
        bytes = &bytes[taken..];
        found.push((status, String::from_utf8_lossy(&body).into_owned()));
    }
    Ok(found)
}

fn check(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// The first line and the fields (names in lower case) of a head with the empty line behind it.
fn head(bytes: &[u8]) -> Result<(String, Vec<(String, String)>), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "no text")?;
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let first = lines.next().unwrap_or_default().to_owned();
    check(!first.contains(|c: char| c.is_control()), "control characters in the first line")?;
    Ok((first, lines.map(field).collect::<Result<_, _>>()?))
}

fn field(line: &str) -> Result<(String, String), String> {
    let (name, value) = line.split_once(':').ok_or_else(|| format!("no colon in {line:?}"))?;
    check(is_token(name), &format!("name in {line:?}"))?;
    check(
        !value.contains(|c: char| c.is_control() && c != '\t'),
        &format!("control characters in {line:?}"),
    )?;
    Ok((name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()))
}

fn is_token(name: &str) -> bool {
    let extra = b"!#$%&'*+-.^_`|~";
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || extra.contains(&byte))
}

fn framing(fields: &[(String, String)]) -> Result<Body, String> {
    let values = |wanted: &str| -> Vec<&str> {
        fields.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_str()).collect()
    };
    match (&values("content-length")[..], &values("transfer-encoding")[..]) {
        ([], []) => Ok(Body::Unsaid),
        ([], ["chunked"]) => Ok(Body::Chunked),
        ([length], []) if !length.is_empty() && length.bytes().all(|digit| digit.is_ascii_digit()) => {
            length.parse().map(Body::Length).map_err(|error| error.to_string())
        }
        (lengths, codings) => Err(format!("framing by {lengths:?} and {codings:?}")),
    }
}

fn body(bytes: &[u8], framing: Body) -> Result<Option<Taken>, String> {
    match framing {
        Body::Chunked => chunks(bytes),
        Body::Length(length) => Ok(bytes.get(..length).map(|body| (body.to_vec(), length))),
        Body::Unsaid => Ok(Some((Vec::new(), 0))),
    }
}

fn chunks(bytes: &[u8]) -> Result<Option<Taken>, String> {
    let (mut rest, mut body) = (bytes, Vec::new());
    while let Some((size, after)) = line(rest) {
        check((1..=16).contains(&size.len()) && size.bytes().all(|c| c.is_ascii_hexdigit()), "chunk size")?;
        let size = usize::from_str_radix(size, 16).map_err(|error| error.to_string())?;
        rest = after;
        if size == 0 {
            while let Some((trailer, after)) = line(rest) {
                rest = after;
                if trailer.is_empty() {
                    return Ok(Some((body, bytes.len() - rest.len())));
                }
                let (name, _) = field(trailer)?;
                check(!NO_TRAILER.contains(&name.as_str()), &format!("trailer {trailer:?}"))?;
            }
            return Ok(None);
        }
        let end = size.checked_add(2).ok_or("chunk size")?;
        let Some(end) = rest.get(size..end) else { return Ok(None) };
        check(end == b"\r\n", "end of a chunk")?;
        body.extend_from_slice(&rest[..size]);
        rest = &rest[size + 2..];
    }
    Ok(None)
}

/// The first line, and what follows it. Bytes that are no text are no line's: a size of `?` is no size.
fn line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.windows(2).position(|window| window == b"\r\n")?;
    Some((std::str::from_utf8(&bytes[..end]).unwrap_or("?"), &bytes[end + 2..]))
}
