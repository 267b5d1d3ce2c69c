//! A block of fields, written: each literally, with the number of its name where that has one, and not to be remembered
//! (RFC 7541 §6.2.2).

use http::{HeaderName, StatusCode};

/// Fields that everybody knows a number for, by their names; nothing else of a response's is in appendix A.
fn number(name: &str) -> u8 {
    match name {
        "accept-ranges" => 18,
        "access-control-allow-origin" => 20,
        "age" => 21,
        "allow" => 22,
        "cache-control" => 24,
        "content-disposition" => 25,
        "content-encoding" => 26,
        "content-language" => 27,
        "content-length" => 28,
        "content-location" => 29,
        "content-range" => 30,
        "content-type" => 31,
        "date" => 33,
        "etag" => 34,
        "expires" => 36,
        "last-modified" => 44,
        "link" => 45,
        "location" => 46,
        "proxy-authenticate" => 48,
        "refresh" => 52,
        "retry-after" => 53,
        "server" => 54,
        "set-cookie" => 55,
        "strict-transport-security" => 56,
        "vary" => 59,
        "via" => 60,
        "www-authenticate" => 61,
        _ => 0,
    }
}

/// Writes `:status`, where there is one, and these fields behind it.
pub(in crate::http2) fn encode<'a>(
    status: Option<StatusCode>,
    fields: impl Iterator<Item = (&'a HeaderName, &'a [u8])>,
    block: &mut Vec<u8>,
) {
    match status.map(|status| (status.as_u16(), status)) {
        None => {}
        Some((200, _)) => block.push(0x88),
        Some((204, _)) => block.push(0x89),
        Some((206, _)) => block.push(0x8A),
        Some((304, _)) => block.push(0x8B),
        Some((400, _)) => block.push(0x8C),
        Some((404, _)) => block.push(0x8D),
        Some((500, _)) => block.push(0x8E),
        Some((_, status)) => {
            block.push(0x08);
            string(status.as_str().as_bytes(), block);
        }
    }
    for (name, value) in fields {
        let name = name.as_str();
        match number(name) {
            0 => {
                block.push(0);
                string(name.as_bytes(), block);
            }
            number => integer(usize::from(number), 4, block),
        }
        string(value, block);
    }
}

/// §5.2, as it stands: what the code of appendix B would save costs more than it is worth between a gateway and its clients.
fn string(text: &[u8], block: &mut Vec<u8>) {
    integer(text.len(), 7, block);
    block.extend_from_slice(text);
}

/// §5.1, behind no other bits.
fn integer(value: usize, bits: u32, block: &mut Vec<u8>) {
    let most = (1usize << bits) - 1;
    if value < most {
        block.push(value as u8);
        return;
    }
    block.push(most as u8);
    let mut rest = value - most;
    while rest >= 0x80 {
        block.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    block.push(rest as u8);
}
