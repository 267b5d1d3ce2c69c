//! Frames of HTTP/2.

use plenipo_proxy::promises::frames;

/// The first byte is the length of the pieces that the rest comes in: frames of a client, behind its opening.
pub fn http2(input: &[u8]) {
    if let Some((length, bytes)) = input.split_first() {
        frames(bytes, usize::from(*length));
    }
}
