//! Who may see more than health and metrics.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, header};

/// A secret that opens the dumps to peers from elsewhere (`Authorization: Bearer …`).
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A token; none when the text is empty, which would let everybody in.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// Compared without stopping at the first difference, so that time tells nothing.
    fn equals(&self, shown: &str) -> bool {
        let (own, shown) = (self.0.as_bytes(), shown.as_bytes());
        own.len() == shown.len() && own.iter().zip(shown).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// May this request see dumps and change the log level?
///
/// With the right token, from anywhere. Without one only from this machine, and then not through a web page: a page
/// that points its own name at 127.0.0.1 shows that name in `Host`, and one that posts across origins says so in
/// `Origin`.
pub(crate) fn is_trusted(peer: SocketAddr, headers: &HeaderMap, token: Option<&Token>) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let shown = text(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    if let (Some(token), Some(shown)) = (token, shown) {
        return token.equals(shown.trim());
    }
    is_this_machine(peer.ip())
        && !headers.contains_key(header::ORIGIN)
        && text(header::HOST).is_none_or(is_no_public_name)
}

fn is_this_machine(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// An address or `localhost`, with or without a port.
fn is_no_public_name(host: &str) -> bool {
    let is_local = |name: &str| name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok();
    let bare = host.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(address, _)| address);
    let name = bare.unwrap_or_else(|| host.rsplit_once(':').map_or(host, |(name, _)| name));
    is_local(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted(peer: &str, fields: &[(&str, &str)], token: Option<&str>) -> bool {
        let headers = fields
            .iter()
            .map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap()))
            .collect();
        is_trusted(peer.parse().unwrap(), &headers, token.and_then(Token::new).as_ref())
    }

    #[test]
    fn this_machine_is_trusted_others_are_not() {
        assert!(trusted("127.0.0.1:9", &[], None));
        assert!(trusted("[::1]:9", &[("host", "[::1]:8877")], None));
        assert!(trusted("[::ffff:127.0.0.1]:9", &[("host", "localhost:8877")], None));
        assert!(!trusted("10.0.0.1:9", &[("host", "localhost")], None));
    }

    #[test]
    fn a_web_page_is_not_this_machine() {
        assert!(!trusted("127.0.0.1:9", &[("host", "evil.example:8877")], None));
        assert!(!trusted(
            "127.0.0.1:9",
            &[("host", "127.0.0.1:8877"), ("origin", "https://evil.example")],
            None
        ));
    }

    #[test]
    fn the_token_opens_from_anywhere() {
        assert!(trusted("10.0.0.1:9", &[("authorization", "Bearer abc")], Some("abc")));
        assert!(!trusted("10.0.0.1:9", &[("authorization", "Bearer abd")], Some("abc")));
        assert!(!trusted("10.0.0.1:9", &[("authorization", "Bearer ab")], Some("abc")));
        assert!(!trusted("10.0.0.1:9", &[("authorization", "Bearer ")], Some("")), "an empty token is none");
        assert!(!trusted("127.0.0.1:9", &[("authorization", "Bearer wrong")], Some("abc")));
    }
}
