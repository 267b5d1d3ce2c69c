//! The PROXY protocol, versions 1 and 2: who a connection through a load balancer really comes from.
//!
//! Pure: bytes in, header out. Source of the rules: the HAProxy "PROXY protocol" specification (2020-03-05), §2.1 to
//! §2.2.7, and what AWS Network Load Balancers send (a `LOCAL` header may name a family and carry no addresses).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use plenipo_model::ProxyTlvs;

#[cfg(test)]
mod tests;

/// Longest version 1 header, its line end included (§2.1).
const V1_MAX: usize = 107;

/// Longest version 2 header that is read or written. The format allows 64 KiB; nobody sends more than a few hundred
/// bytes, and the peer is not yet known when this is buffered.
const V2_MAX: usize = 4096;

const V2_SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const V2_FIXED: usize = 16;
const TLV_CRC32C: u8 = 0x03;
const TLV_NOOP: u8 = 0x04;
/// In the range for own uses (§2.2.8); AWS's, its first byte says what it is.
const TLV_AWS: u8 = 0xea;
const AWS_ENDPOINT: u8 = 0x01;

/// What the first bytes of a connection are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// May still become a header.
    NeedMore,
    /// Something else; not a byte was consumed.
    NotProxy,
    /// A header.
    Header(Header),
    /// Began as a header and is none; the connection must be closed (§2: receivers must not guess).
    Invalid(&'static str),
}

/// A PROXY header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its bytes; what follows belongs to the connection.
    pub length: usize,
    /// Source and destination. None: the connection's own (v1 `UNKNOWN`, v2 `LOCAL`, `UNSPEC` and UNIX sockets).
    pub addresses: Option<(SocketAddr, SocketAddr)>,
    /// Type-length-values of version 2 in the order sent, type and value; padding and checksum too.
    pub tlvs: Vec<(u8, Vec<u8>)>,
}

/// Reads the header that `buf` begins with. Call again with more after [`Parsed::NeedMore`]; at most 4 KiB are ever
/// asked for.
pub fn parse(buf: &[u8]) -> Parsed {
    const V1: &[u8] = b"PROXY ";
    let begins = |signature: &[u8]| {
        let seen = buf.len().min(signature.len());
        buf[..seen] == signature[..seen]
    };
    match () {
        () if begins(&V2_SIGNATURE) && buf.len() < V2_SIGNATURE.len() => Parsed::NeedMore,
        () if begins(&V2_SIGNATURE) => parse_v2(buf),
        () if begins(V1) && buf.len() < V1.len() => Parsed::NeedMore,
        () if begins(V1) => parse_v1(buf),
        () => Parsed::NotProxy,
    }
}

fn parse_v1(buf: &[u8]) -> Parsed {
    let window = &buf[..buf.len().min(V1_MAX)];
    let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
        return if buf.len() < V1_MAX {
            Parsed::NeedMore
        } else {
            Parsed::Invalid("v1 header longer than 107 bytes")
        };
    };
    let Some(line) = window[..end].strip_suffix(b"\r").and_then(|line| std::str::from_utf8(line).ok()) else {
        return Parsed::Invalid("v1 header is not a line of text that ends in CRLF");
    };
    let header = |addresses| Parsed::Header(Header { length: end + 1, addresses, tlvs: Vec::new() });
    let mut words = line.split(' ').skip(1);
    let family = words.next().unwrap_or_default();
    if family == "UNKNOWN" {
        // Whatever follows is to be ignored (§2.1).
        return header(None);
    }
    let fields: [&str; 4] = match words.collect::<Vec<_>>().try_into() {
        Ok(fields) => fields,
        Err(_) => return Parsed::Invalid("v1 header does not have six words"),
    };
    match v1_addresses(family, fields) {
        Some(addresses) => header(Some(addresses)),
        None => Parsed::Invalid("v1 header with an unknown family, address or port"),
    }
}

fn v1_addresses(
    family: &str,
    [source, destination, from, to]: [&str; 4],
) -> Option<(SocketAddr, SocketAddr)> {
    let address = |text: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    Some(((address(source)?, v1_port(from)?).into(), (address(destination)?, v1_port(to)?).into()))
}

/// Digits only, without leading zeros (§2.1).
fn v1_port(text: &str) -> Option<u16> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    canonical.then(|| text.parse().ok()).flatten()
}

fn parse_v2(buf: &[u8]) -> Parsed {
    // Judged byte by byte, so that a bad header is refused as soon as it can be known.
    let local = match buf.get(12) {
        None => return Parsed::NeedMore,
        Some(0x20) => true,
        Some(0x21) => false,
        Some(_) => return Parsed::Invalid("v2 header with an unknown version or command"),
    };
    let Some(&family) = buf.get(13) else { return Parsed::NeedMore };
    let Some(address_length) = v2_address_length(family, local) else {
        return Parsed::Invalid("v2 header with an unknown or unusable address family");
    };
    let Some(length) = buf.get(14..V2_FIXED) else { return Parsed::NeedMore };
    let length = V2_FIXED + usize::from(u16::from_be_bytes([length[0], length[1]]));
    if length > V2_MAX {
        return Parsed::Invalid("v2 header longer than 4 KiB");
    }
    if !local && length < V2_FIXED + address_length {
        return Parsed::Invalid("v2 header shorter than its addresses");
    }
    let Some(header) = buf.get(..length) else { return Parsed::NeedMore };
    let tlvs = if local { local_tlvs(header, address_length) } else { checked_tlvs(header, address_length) };
    let addresses = if local { None } else { v2_addresses(family, &header[V2_FIXED..]) };
    match tlvs {
        Ok(tlvs) => Parsed::Header(Header { length, addresses, tlvs }),
        Err(reason) => Parsed::Invalid(reason),
    }
}

/// Bytes of the address block. None for a family that does not exist, or that a TCP connection cannot have.
fn v2_address_length(family: u8, local: bool) -> Option<usize> {
    match family {
        0x00 => Some(0),
        0x11 => Some(12),
        0x21 => Some(36),
        0x31 => Some(216),
        // Datagrams: what a LOCAL header names is ignored, else this is not our connection.
        0x12 if local => Some(12),
        0x22 if local => Some(36),
        0x32 if local => Some(216),
        _ => None,
    }
}

fn v2_addresses(family: u8, block: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let (size, ports) = match family {
        0x11 => (4, block.get(8..12)?),
        0x21 => (16, block.get(32..36)?),
        _ => return None,
    };
    let address = |at: usize| -> Option<IpAddr> {
        let bytes = block.get(at..at + size)?;
        match size {
            4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
            _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        }
    };
    let port = |at: usize| u16::from_be_bytes([ports[at], ports[at + 1]]);
    Some(((address(0)?, port(0)).into(), (address(size)?, port(2)).into()))
}

type Tlvs = Vec<(u8, Vec<u8>)>;

/// The TLVs behind the address block, the checksum checked when there is one.
fn checked_tlvs(header: &[u8], address_length: usize) -> Result<Tlvs, &'static str> {
    let tlvs = tlvs(header, V2_FIXED + address_length).ok_or("v2 TLV longer than its header")?;
    match checksum(header, &tlvs) {
        Some(Checksum::Wrong) => Err("v2 header with a wrong CRC32C"),
        _ => Ok(tlvs.into_iter().map(|tlv| (tlv.kind, tlv.value.to_vec())).collect()),
    }
}

/// The block of a LOCAL header is to be discarded, the family too (§2.2). Still a checksum in it is checked, and TLVs
/// that it vouches for are kept; senders differ in whether an address block stands before them.
fn local_tlvs(header: &[u8], address_length: usize) -> Result<Tlvs, &'static str> {
    let mut wrong = false;
    for start in [V2_FIXED, V2_FIXED + address_length] {
        let Some(tlvs) = tlvs(header, start) else { continue };
        match checksum(header, &tlvs) {
            Some(Checksum::Right) => {
                return Ok(tlvs.into_iter().map(|tlv| (tlv.kind, tlv.value.to_vec())).collect());
            }
            Some(Checksum::Wrong) => wrong = true,
            None => {}
        }
    }
    if wrong { Err("v2 header with a wrong CRC32C") } else { Ok(Vec::new()) }
}

struct Tlv<'a> {
    kind: u8,
    value: &'a [u8],
    /// Where the value stands in the header.
    at: usize,
}

/// None when one reaches over the end.
fn tlvs(header: &[u8], mut at: usize) -> Option<Vec<Tlv<'_>>> {
    let mut found = Vec::new();
    while at < header.len() {
        let fixed = header.get(at..at + 3)?;
        let length = usize::from(u16::from_be_bytes([fixed[1], fixed[2]]));
        let value = header.get(at + 3..at + 3 + length)?;
        found.push(Tlv { kind: fixed[0], value, at: at + 3 });
        at += 3 + length;
    }
    (at == header.len()).then_some(found)
}

enum Checksum {
    Right,
    Wrong,
}

/// §2.2.3: over the whole header, the checksum's own bytes as zeros. A second one cannot be right.
fn checksum(header: &[u8], tlvs: &[Tlv<'_>]) -> Option<Checksum> {
    let mut of_checksum = tlvs.iter().filter(|tlv| tlv.kind == TLV_CRC32C);
    let tlv = of_checksum.next()?;
    let Ok(stated) = <[u8; 4]>::try_from(tlv.value) else { return Some(Checksum::Wrong) };
    let before = crc32c::crc32c(&header[..tlv.at]);
    let zeros = crc32c::crc32c_append(before, &[0; 4]);
    let computed = crc32c::crc32c_append(zeros, &header[tlv.at + 4..]);
    let right = of_checksum.next().is_none() && computed == u32::from_be_bytes(stated);
    Some(if right { Checksum::Right } else { Checksum::Wrong })
}

/// Writes a version 1 header. Two addresses of different families are both written as IPv6.
pub fn write_v1(out: &mut Vec<u8>, source: SocketAddr, destination: SocketAddr) {
    let (from, to) = one_family(source.ip(), destination.ip());
    let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
    let line = format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port());
    out.extend_from_slice(line.as_bytes());
}

/// Writes a version 2 header: `PROXY` with addresses, `LOCAL` without. An endpoint's name that would make the header
/// longer than 4 KiB is left out.
pub fn write_v2(out: &mut Vec<u8>, addresses: Option<(SocketAddr, SocketAddr)>, tlvs: &ProxyTlvs) {
    let begin = out.len();
    out.extend_from_slice(&V2_SIGNATURE);
    match addresses {
        // AWS names a family whose addresses are not there (what follows LOCAL is to be ignored, §2.2).
        None if tlvs.padded_length.is_some() => out.extend_from_slice(&[0x20, 0x11, 0, 0]),
        None => out.extend_from_slice(&[0x20, 0x00, 0, 0]),
        Some((source, destination)) => {
            let (from, to) = one_family(source.ip(), destination.ip());
            out.extend_from_slice(&[0x21, if from.is_ipv4() { 0x11 } else { 0x21 }, 0, 0]);
            for address in [from, to] {
                match address {
                    IpAddr::V4(address) => out.extend_from_slice(&address.octets()),
                    IpAddr::V6(address) => out.extend_from_slice(&address.octets()),
                }
            }
            out.extend_from_slice(&source.port().to_be_bytes());
            out.extend_from_slice(&destination.port().to_be_bytes());
        }
    }
    let checksum_at = tlvs.crc32c.then(|| {
        write_tlv(out, TLV_CRC32C, 4, &[]);
        out.len() - 4
    });
    // A connection speaks of the endpoint it came through; a health check came through none.
    if let (Some(endpoint), Some(_)) = (&tlvs.endpoint, addresses)
        && out.len() - begin + 4 + endpoint.len() <= V2_MAX
    {
        write_tlv(out, TLV_AWS, 1 + endpoint.len(), &[&[AWS_ENDPOINT], endpoint.as_bytes()].concat());
    }
    let padding = usize::from(tlvs.padded_length.unwrap_or_default());
    if let Some(missing) = (V2_FIXED + padding.min(V2_MAX - V2_FIXED)).checked_sub(out.len() - begin + 3) {
        write_tlv(out, TLV_NOOP, missing, &[]);
    }
    let length = u16::try_from(out.len() - begin - V2_FIXED).expect("at most 4 KiB are written");
    out[begin + 14..begin + V2_FIXED].copy_from_slice(&length.to_be_bytes());
    if let Some(at) = checksum_at {
        let checksum = crc32c::crc32c(&out[begin..]);
        out[at..at + 4].copy_from_slice(&checksum.to_be_bytes());
    }
}

/// A value of `length` bytes: `value`, then zeros.
fn write_tlv(out: &mut Vec<u8>, kind: u8, length: usize, value: &[u8]) {
    out.push(kind);
    out.extend_from_slice(&u16::try_from(length).expect("at most 4 KiB are written").to_be_bytes());
    out.extend_from_slice(value);
    out.resize(out.len() + length - value.len(), 0);
}

/// Both as they are when of one family (IPv4-mapped IPv6 counts as IPv4), else both as IPv6.
fn one_family(source: IpAddr, destination: IpAddr) -> (IpAddr, IpAddr) {
    let mapped = |address: IpAddr| match address {
        IpAddr::V4(address) => IpAddr::V6(address.to_ipv6_mapped()),
        IpAddr::V6(_) => address,
    };
    match (source.to_canonical(), destination.to_canonical()) {
        (from, to) if from.is_ipv4() == to.is_ipv4() => (from, to),
        (from, to) => (mapped(from), mapped(to)),
    }
}
