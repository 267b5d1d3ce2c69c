//! PROXY protocol headers as bytes, written from the specification and not with the gateway's own writer: a test must
//! not check a parser against itself. <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest version 1 header, with its line end (section 2.1).
const LONGEST_V1: usize = 107;

/// A version 1 line.
pub fn v1(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), destination.ip());
    format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port()).into_bytes()
}

/// A version 2 header for a TCP connection with type-length-values; both addresses of one family.
pub fn v2(source: SocketAddr, destination: SocketAddr, tlvs: &[(u8, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    let family = if source.is_ipv4() { 0x11 } else { 0x21 };
    for address in [source, destination] {
        match address.ip() {
            IpAddr::V4(ip) => body.extend(ip.octets()),
            IpAddr::V6(ip) => body.extend(ip.octets()),
        }
    }
    body.extend(source.port().to_be_bytes());
    body.extend(destination.port().to_be_bytes());
    for (kind, value) in tlvs {
        body.push(*kind);
        body.extend((value.len() as u16).to_be_bytes());
        body.extend(*value);
    }
    framed(0x21, family, &body)
}

/// A version 2 LOCAL header: the sender's own health check, without addresses.
pub fn v2_local() -> Vec<u8> {
    framed(0x20, 0, &[])
}

fn framed(version_and_command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    header.extend([version_and_command, family]);
    header.extend((body.len() as u16).to_be_bytes());
    header.extend(body);
    header
}

/// Reads one header (either version) off the stream and nothing behind it.
///
/// # Errors
/// When the stream ends within the header or begins with something else.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut header = vec![0; SIGNATURE.len()];
    stream.read_exact(&mut header).await?;
    if header == SIGNATURE {
        let mut rest = [0; 4];
        stream.read_exact(&mut rest).await?;
        let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        header.extend(rest);
        let start = header.len();
        header.resize(start + length, 0);
        stream.read_exact(&mut header[start..]).await?;
        return Ok(header);
    }
    if !header.starts_with(b"PROXY ") {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "no PROXY protocol header"));
    }
    while !header.ends_with(b"\r\n") {
        if header.len() == LONGEST_V1 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a PROXY line without an end"));
        }
        header.push(stream.read_u8().await?);
    }
    Ok(header)
}
