//! What is said in place of what the gate refuses: to the client, or to the codec so that it (or a stage) answers.

/// The answer to a head that does not come to its end.
pub(crate) const SLOW_HEAD: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Method of the request that [`REFUSED_HEAD`] is.
pub(crate) const REFUSED_METHOD: &str = "REFUSED";

/// Given to the codec instead of a head that broke the rules, where the stages are to answer it. A client that sends it
/// itself gets nothing for it: the stages look at what the gate refused.
pub(super) const REFUSED_HEAD: &[u8] = b"REFUSED * HTTP/1.1\r\nhost: refused\r\n\r\n";

/// Given to the codec instead of the rest of a connection that broke the rules: no codec takes it for a request, so
/// that the codec's own 400 goes out and the connection ends.
pub(super) const REFUSAL: &[u8] = b"\0\r\n\r\n";

/// A head that exceeds every codec limit on the number of fields.
pub(super) fn oversized_head() -> Vec<u8> {
    let mut head = b"GET / HTTP/1.1\r\n".to_vec();
    for _ in 0..1100 {
        head.extend_from_slice(b"x:\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}
