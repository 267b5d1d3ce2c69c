//! Looks at the first bytes of a connection, without consuming them: TLS or clear text, and for TLS the server name and
//! the protocols that the client offers (RFC 8446 §4.1.2, §5.1; RFC 6066 §3; RFC 7301 §3.1).
//!
//! Pure. Only what chooses a chain is read; everything else about the handshake is the TLS stack's to judge.

use std::net::IpAddr;

#[cfg(test)]
mod tests;

/// A ClientHello (with its record headers) beyond this is refused. With post-quantum key shares real ones have 2 KiB.
const MAX: usize = 64 * 1024;

const HANDSHAKE: u8 = 0x16;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;

/// What a connection begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sniff {
    /// Cannot be told yet.
    NeedMore,
    /// TLS.
    Tls(ClientHello),
    /// Anything that is not TLS.
    ClearText,
    /// Begins as TLS and is not a ClientHello.
    Invalid(&'static str),
}

/// The part of a ClientHello that chooses a chain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientHello {
    /// Server name, lower case. None also for an IP address, which is not a name (RFC 6066 §3).
    pub server_name: Option<String>,
    /// Protocols offered, in the client's order.
    pub alpn: Vec<Vec<u8>>,
}

/// Judges the bytes that have arrived so far; `buf` always begins at the connection's first byte. Call again with more
/// after [`Sniff::NeedMore`]; never asks for more than 64 KiB.
pub fn sniff(buf: &[u8]) -> Sniff {
    match buf.first() {
        None => Sniff::NeedMore,
        Some(&HANDSHAKE) => match handshake(buf) {
            Ok(Some(message)) => match client_hello(&message) {
                Some(hello) => hello,
                None => Sniff::Invalid("malformed ClientHello"),
            },
            Ok(None) if buf.len() >= MAX => Sniff::Invalid("ClientHello longer than 64 KiB"),
            Ok(None) => Sniff::NeedMore,
            Err(reason) => Sniff::Invalid(reason),
        },
        Some(_) => Sniff::ClearText,
    }
}

/// Body of the first handshake message, put together from as many records as it takes; none when there is more to come.
fn handshake(buf: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    let mut fragments = Vec::new();
    let mut have = 0;
    let mut head = [0; 4];
    let mut rest = buf;
    loop {
        let record = match *rest {
            [] => return Ok(None),
            [kind, ..] if kind != HANDSHAKE => {
                return Err("a record that is not a handshake inside the ClientHello");
            }
            [_, major, ..] if major != 3 => return Err("not a TLS version"),
            [_, _, _, high, low, ref record @ ..] => {
                let length = usize::from(u16::from_be_bytes([high, low]));
                // RFC 8446 §5.1: at most 2^14, and no empty handshake fragments.
                if length == 0 || length > 1 << 14 {
                    return Err("record of an impossible length");
                }
                let (fragment, next) = record.split_at(length.min(record.len()));
                rest = if fragment.len() == length { next } else { &[] };
                fragment
            }
            _ => return Ok(None),
        };
        for (slot, byte) in head.iter_mut().skip(have).zip(record) {
            *slot = *byte;
        }
        have += record.len();
        fragments.push(record);
        if have >= 1 && head[0] != CLIENT_HELLO {
            return Err("the first message is not a ClientHello");
        }
        if have >= 4 {
            let length = usize::from(head[1]) << 16 | usize::from(head[2]) << 8 | usize::from(head[3]);
            if length > MAX {
                return Err("ClientHello longer than 64 KiB");
            }
            if have >= 4 + length {
                let mut message = fragments.concat();
                message.truncate(4 + length);
                message.drain(..4);
                return Ok(Some(message));
            }
        }
    }
}

/// Reads from the front of a slice; none as soon as something is missing.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// A vector with one byte of length.
    fn short(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.take(length.into())
    }

    /// A vector with two bytes of length.
    fn long(&mut self) -> Option<Self> {
        let length = self.u16()?;
        self.take(length.into()).map(Self)
    }
}

/// None when the message is malformed.
fn client_hello(message: &[u8]) -> Option<Sniff> {
    let mut reader = Reader(message);
    reader.take(2 + 32)?;
    if reader.short()?.len() > 32 {
        return None;
    }
    let suites = reader.long()?.0.len();
    if suites == 0 || suites % 2 != 0 || reader.short()?.is_empty() {
        return None;
    }
    let mut hello = ClientHello::default();
    if reader.0.is_empty() {
        // TLS 1.2 allows a hello without extensions.
        return Some(Sniff::Tls(hello));
    }
    let mut extensions = reader.long()?;
    if !reader.0.is_empty() {
        return None;
    }
    let (mut named, mut offered) = (false, false);
    while !extensions.0.is_empty() {
        let kind = extensions.u16()?;
        let body = extensions.long()?;
        match kind {
            SERVER_NAME if !std::mem::replace(&mut named, true) => hello.server_name = server_name(body)?,
            ALPN if !std::mem::replace(&mut offered, true) => hello.alpn = protocols(body)?,
            SERVER_NAME | ALPN => return None,
            _ => {}
        }
    }
    Some(Sniff::Tls(hello))
}

/// Outer none: malformed. Inner none: no host name in it.
fn server_name(mut body: Reader<'_>) -> Option<Option<String>> {
    let mut list = body.long()?;
    if !body.0.is_empty() || list.0.is_empty() {
        return None;
    }
    let mut found = None;
    while !list.0.is_empty() {
        if list.u8()? != 0 {
            // No other kind of name was ever defined, so nobody knows how long it is. The TLS stack stops here, too, and
            // must not see another name than we do.
            break;
        }
        let name = list.long()?.0;
        // Of one kind there may be one name only (RFC 6066 §3).
        let name = std::str::from_utf8(name).ok()?;
        if found.is_some() || name.is_empty() || name.len() > 255 {
            return None;
        }
        let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        found = if name.parse::<IpAddr>().is_ok() {
            Some(None)
        } else if name.bytes().all(is_name) {
            Some(Some(name.to_ascii_lowercase()))
        } else {
            return None;
        };
    }
    Some(found.flatten())
}

fn protocols(mut body: Reader<'_>) -> Option<Vec<Vec<u8>>> {
    let mut list = body.long()?;
    if !body.0.is_empty() {
        return None;
    }
    let mut found = Vec::new();
    while !list.0.is_empty() {
        let protocol = list.short()?;
        if protocol.is_empty() {
            return None;
        }
        found.push(protocol.to_vec());
    }
    Some(found)
}
