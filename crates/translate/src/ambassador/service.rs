//! What a `service` field says: `[scheme://]host[:port]`.

use std::net::IpAddr;

use crate::findings::Flaw;

/// Where a Mapping sends its requests, as far as the text says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ServiceAddress {
    /// What the scheme asks for; none was written = none.
    pub(crate) tls: Option<bool>,
    /// Lower-case host name, or an address without brackets.
    pub(crate) host: String,
    /// The address, when the host is one.
    pub(crate) ip: Option<IpAddr>,
    /// As written; none = the default of the protocol.
    pub(crate) port: Option<u16>,
}

/// Reads a service. What is odd but usable is told to `flaws`.
///
/// # Errors
/// When there is no host in it.
pub(crate) fn parse(text: &str, field: &str, flaws: &mut Vec<Flaw>) -> Result<ServiceAddress, Flaw> {
    let text = text.trim();
    let (tls, rest) = match scheme(text) {
        None => (None, text),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Some(true), rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Some(false), rest),
        Some((scheme, rest)) => {
            let message = format!("the scheme '{scheme}://' is not known, clear text is spoken");
            flaws.push(Flaw::new("bad-service", field, message, "write http:// or https://, or no scheme"));
            (None, rest)
        }
    };
    let authority = rest.find(['/', '?', '#']).map_or(rest, |end| {
        if rest.len() > end + 1 {
            let message = format!("'{}' after the host is not used", &rest[end..]);
            flaws.push(Flaw::new("bad-service", field, message, "use 'rewrite' to change the path"));
        }
        &rest[..end]
    });
    let (host, port) = split_port(authority);
    let host = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host);
    let ip: Option<IpAddr> = if may_be_address(host) { host.parse().ok() } else { None };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if host.is_empty() || (ip.is_none() && !host.chars().all(plain)) {
        let message = format!("'{text}' names no host");
        return Err(Flaw::new(
            "bad-service",
            field,
            message,
            "write name, name.namespace or name.namespace:port",
        ));
    }
    let port = port.and_then(|text| match text.parse::<u16>() {
        Ok(port) if port > 0 => Some(port),
        _ => {
            let message = format!("'{text}' is not a port number, the default port is used");
            flaws.push(Flaw::new("bad-port", field, message, "write a number from 1 to 65535"));
            None
        }
    });
    Ok(ServiceAddress { tls, host: host.to_ascii_lowercase(), ip, port })
}

/// Splits `scheme://` off.
fn scheme(text: &str) -> Option<(&str, &str)> {
    let colon = text.find(':')?;
    Some((&text[..colon], text[colon..].strip_prefix("://")?))
}

/// Most hosts are names, and a look at the first character tells.
fn may_be_address(host: &str) -> bool {
    host.starts_with(|c: char| c.is_ascii_digit()) || host.contains(':')
}

/// Splits a port off, leaving bare IPv6 addresses alone.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if host.ends_with(']') || !host.contains(':') => (host, Some(port)),
        _ => (authority, None),
    }
}

impl ServiceAddress {
    /// Is the name meant as it stands? (Anything with a dot or a colon, and `localhost`.)
    pub(crate) fn is_qualified(&self) -> bool {
        self.ip.is_some() || self.host.contains('.') || self.host == "localhost"
    }

    /// As it stands in a URL: an IPv6 address in brackets.
    pub(crate) fn with_port(&self, port: u16) -> String {
        match self.ip {
            Some(ip) => std::net::SocketAddr::new(ip, port).to_string(),
            None => format!("{}:{port}", self.host),
        }
    }

    /// The service and the namespace that the name would have in Kubernetes: its first two labels.
    pub(crate) fn in_kubernetes<'a>(&'a self, own_namespace: &'a str) -> Option<(&'a str, &'a str)> {
        if self.ip.is_some() || self.host == "localhost" {
            return None;
        }
        let mut labels = self.host.split('.');
        let name = labels.next()?;
        Some((name, labels.next().unwrap_or(own_namespace)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<bool>, String, Option<u16>, usize) {
        let mut flaws = Vec::new();
        let address = parse(text, "spec.service", &mut flaws).expect("a service");
        (address.tls, address.host, address.port, flaws.len())
    }

    #[test]
    fn services() {
        assert_eq!(read("quote"), (None, "quote".into(), None, 0));
        assert_eq!(read("HTTPS://Quote.ns:8443"), (Some(true), "quote.ns".into(), Some(8443), 0));
        assert_eq!(read("http://quote:80/path"), (Some(false), "quote".into(), Some(80), 1));
        assert_eq!(read("ftp://quote"), (None, "quote".into(), None, 1));
        assert_eq!(read("[::1]:80"), (None, "::1".into(), Some(80), 0));
        assert_eq!(read("::1"), (None, "::1".into(), None, 0));
        assert_eq!(read("10.0.0.1:80"), (None, "10.0.0.1".into(), Some(80), 0));
        assert_eq!(read("m:99999"), (None, "m".into(), None, 1));
        assert_eq!(read("m:http"), (None, "m".into(), None, 1));
    }

    #[test]
    fn a_service_without_a_host() {
        for text in ["", "https://", ":80", "a b", "[]:80", "a%20b"] {
            assert!(parse(text, "spec.service", &mut Vec::new()).is_err(), "{text}");
        }
    }

    #[test]
    fn kubernetes_names() {
        let name = |text: &str| parse(text, "", &mut Vec::new()).expect("a service");
        assert_eq!(name("quote").in_kubernetes("own"), Some(("quote", "own")));
        assert_eq!(name("quote.ns.svc.cluster.local").in_kubernetes("own"), Some(("quote", "ns")));
        assert_eq!(name("10.0.0.1").in_kubernetes("own"), None);
        assert!(
            name("quote.ns").is_qualified()
                && name("localhost").is_qualified()
                && !name("quote").is_qualified()
        );
    }
}
