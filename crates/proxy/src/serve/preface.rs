//! HTTP/2 with prior knowledge, told from HTTP/1 by its first bytes.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::gate::SLOW_HEAD;
use crate::io::Prefixed;

/// RFC 9113 §3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Reads until the bytes tell HTTP/2 with prior knowledge from HTTP/1; none when that took too long, and the client was told.
pub(super) async fn speaks_http2(
    stream: Prefixed<TcpStream>,
    limit: Duration,
) -> io::Result<Option<(Prefixed<TcpStream>, bool)>> {
    let (mut early, mut socket) = stream.into_parts();
    let telling = async {
        loop {
            let length = early.len().min(PREFACE.len());
            if early[..length] != PREFACE[..length] {
                return Ok::<_, io::Error>(false);
            }
            if length == PREFACE.len() {
                return Ok(true);
            }
            if socket.read_buf(&mut early).await? == 0 {
                return Ok(false);
            }
        }
    };
    match tokio::time::timeout(limit, telling).await {
        Ok(http2) => Ok(Some((Prefixed::new(early, socket), http2?))),
        Err(_) if early.is_empty() => Err(io::ErrorKind::TimedOut.into()),
        Err(_) => socket.write_all(SLOW_HEAD).await.map(|()| None),
    }
}
