//! Fields folded over several lines (RFC 9112 §5.2), as the Application Load Balancer passes them on.

/// Makes each continuation line of the head at the front of `bytes` a field of its own, with a colon at its end and
/// nothing behind it ("ALB doesn't support multi-line headers, and appends a colon"). What follows the head stays.
pub(crate) fn unfold(bytes: &[u8]) -> Vec<u8> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(bytes.len(), |at| at + 2);
    let mut out = Vec::with_capacity(bytes.len() + 8);
    for line in bytes[..head].split_inclusive(|byte| *byte == b'\n') {
        match line.trim_ascii_start() {
            unfolded if unfolded.len() < line.len() && line.ends_with(b"\r\n") => {
                out.extend_from_slice(unfolded.trim_ascii_end());
                out.extend_from_slice(b":\r\n");
            }
            _ => out.extend_from_slice(line),
        }
    }
    out.extend_from_slice(&bytes[head..]);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What follows the head is nobody's to change, and there is nothing left to take apart.
        #[test]
        fn only_the_head_changes_and_once(lines in "(GET / HTTP/1.1\r\n)([ \t]?[a-z:]{0,4}[ \t]?\r\n){0,6}", body in "[ \ta\r\n]{0,12}") {
            let bytes = format!("{lines}x: y\r\n\r\n{body}").into_bytes();
            let once = unfold(&bytes);
            let behind = |bytes: &[u8]| {
                let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("the head ends");
                bytes[end..].to_vec()
            };
            prop_assert_eq!(behind(&bytes), behind(&once));
            prop_assert_eq!(unfold(&once), once);
        }
    }

    #[test]
    fn continuations_become_names() {
        let folded = b"GET / HTTP/1.1\r\nX: a\r\n  b\r\n\tc \r\nY: d\r\n\r\n  body\r\n x";
        let expected = b"GET / HTTP/1.1\r\nX: a\r\nb:\r\nc:\r\nY: d\r\n\r\n  body\r\n x";
        assert_eq!(unfold(folded), expected);
        let plain = b"GET / HTTP/1.1\r\nX: a\r\n\r\n";
        assert_eq!(unfold(plain), plain);
    }
}
