//! One fetch of keys: `GET`, over HTTP/1.1. Redirects are not followed, and private addresses are not asked: whoever may
//! write a rule shall not reach through us what he cannot reach himself.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HOST, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use plenipo_jwt::{Keys, KeysError, Metadata};
use plenipo_model::{Dns, DnsFamily, DnsKind, RemoteKeys};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::snapshot::clusters::Upstream;
use crate::snapshot::{Snapshot, tls};
use crate::upstream::connect::{ConnectError, connect};
use crate::upstream::upkeep::Resolvers;

/// Bytes of a document.
const LARGEST: usize = 1024 * 1024;

/// What hosts are: clusters of the newest snapshot, and names in DNS.
#[derive(Clone)]
pub(crate) struct Places {
    pub(crate) snapshot: Rc<RefCell<Arc<Snapshot>>>,
    pub(crate) resolvers: Rc<Resolvers>,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("'{0}' is no http: or https: URL")]
    Url(String),
    #[error("{0} has no public address; a service of the cluster may, others are refused")]
    Private(String),
    #[error("no address: {0}")]
    Name(String),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("the roots of the system cannot be used: {0}")]
    Roots(&'static str),
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
    #[error("the answer is {0}")]
    Status(StatusCode),
    #[error("the answer is broken, or longer than {LARGEST} bytes: {0}")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("its metadata: {0}")]
    Metadata(String),
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
}

/// A URL, taken apart.
struct Place {
    uri: Uri,
    secure: bool,
    host: String,
    port: u16,
}

impl Places {
    /// Fetches a key set.
    pub(super) async fn keys(&self, remote: &RemoteKeys) -> Result<Keys, FetchError> {
        let document = self.document(&remote.url, remote).await?;
        if !remote.discovery {
            return Ok(Keys::parse(&document)?);
        }
        let metadata = Metadata::parse(&document).map_err(|error| FetchError::Metadata(error.to_string()))?;
        let (provider, named) = (Place::parse(&remote.url)?, Place::parse(&metadata.jwks_uri)?);
        if named.is_weaker_than(&provider) {
            return Err(FetchError::Metadata("its keys are in clear text, and it is not".to_owned()));
        }
        // Another host is not the service of the cluster that the first one is.
        let same = provider.host == named.host;
        let cluster = remote.cluster.clone().filter(|_| same);
        // What a service of the cluster says does not lead to whatever else has a private address.
        let private_addresses = remote.private_addresses && named.is_as_near_as(&provider);
        let remote = RemoteKeys { cluster, private_addresses, ..remote.clone() };
        Ok(Keys::parse(&self.document(&metadata.jwks_uri, &remote).await?)?)
    }

    async fn document(&self, url: &str, remote: &RemoteKeys) -> Result<Bytes, FetchError> {
        let place = Place::parse(url)?;
        let cluster = remote.cluster.as_ref().map(|name| {
            let upstream = self.snapshot.borrow().upstream(name).cloned();
            upstream.ok_or_else(|| FetchError::Name(format!("there is no cluster {name}")))
        });
        match cluster {
            Some(upstream) => {
                let upstream = upstream?;
                let endpoints = upstream.live.resolved().await;
                let endpoint = endpoints.endpoints.iter().find(|endpoint| endpoint.healthy());
                let none = || FetchError::Name(format!("{} has no endpoint", upstream.model.name));
                self.over(&upstream, endpoint.ok_or_else(none)?.address, &place).await
            }
            None => {
                let address = self.look_up(&place, remote.private_addresses).await?;
                ask(place.connect(address).await?, &place).await
            }
        }
    }

    /// The cluster's own TLS, if it has any, is what stands between us and its endpoints.
    async fn over(&self, upstream: &Upstream, at: SocketAddr, place: &Place) -> Result<Bytes, FetchError> {
        match &upstream.tls {
            Ok(None) if place.secure => ask(place.connect(at).await?, place).await,
            _ => ask(connect(upstream, at, None).await?.stream, place).await,
        }
    }

    async fn look_up(&self, place: &Place, private: bool) -> Result<SocketAddr, FetchError> {
        let addresses = match place.host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => {
                let dns = Dns {
                    name: place.host.clone(),
                    port: place.port,
                    kind: DnsKind::Strict,
                    family: DnsFamily::PreferV6,
                    respect_ttl: false,
                    others: Vec::new(),
                };
                let answer = self.resolvers.ask(&dns).await;
                answer.map_err(|error| FetchError::Name(format!("{}: {error}", place.host)))?.0
            }
        };
        let usable = addresses.into_iter().find(|address| private || is_public(*address));
        let usable = usable.ok_or_else(|| FetchError::Private(place.host.clone()))?;
        Ok(SocketAddr::new(usable, place.port))
    }
}

impl Place {
    fn parse(url: &str) -> Result<Self, FetchError> {
        let malformed = || FetchError::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| malformed())?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(malformed()),
        };
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        let authority = authority.ok_or_else(malformed)?;
        let host = authority.host().to_ascii_lowercase();
        let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(Self { secure, host, port, uri })
    }

    /// May somebody on the way change what stands there, and not what stands at the other?
    fn is_weaker_than(&self, other: &Self) -> bool {
        other.secure && !self.secure
    }

    /// Is it in the cluster that the other one is in? (Nothing is said of one that is in none.)
    fn is_as_near_as(&self, other: &Self) -> bool {
        let Some(at) = other.host.rfind(".svc") else { return true };
        self.host == other.host || self.host.ends_with(&other.host[at..])
    }

    async fn connect(&self, address: SocketAddr) -> Result<Box<dyn Duplex>, FetchError> {
        let socket = TcpStream::connect(address).await?;
        if !self.secure {
            return Ok(Box::new(socket));
        }
        static CONFIG: LazyLock<Result<Arc<ClientConfig>, &'static str>> = LazyLock::new(tls::public_client);
        let config = CONFIG.as_ref().map_err(|why| FetchError::Roots(why))?;
        let name = ServerName::try_from(self.host.trim_matches(['[', ']']).to_owned());
        let name = name.map_err(|_| FetchError::Url(self.uri.to_string()))?;
        Ok(Box::new(TlsConnector::from(Arc::clone(config)).connect(name, socket).await?))
    }
}

trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    place: &Place,
) -> Result<Bytes, FetchError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Its error is the request's too. It ends with the sender.
    tokio::task::spawn_local(async move {
        let _ = connection.await;
    });
    let path = place.uri.path_and_query().map_or("/", |path| path.as_str());
    let host = place.uri.authority().map_or("", |authority| authority.as_str());
    let request = Request::get(path)
        .header(HOST, host)
        .header(ACCEPT, "application/json")
        .header(USER_AGENT, "plenipo")
        .body(Empty::<Bytes>::new())
        .map_err(|_| FetchError::Url(place.uri.to_string()))?;
    let response = sender.send_request(request).await?;
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status(response.status()));
    }
    let body = Limited::new(response.into_body(), LARGEST).collect().await.map_err(FetchError::Body)?;
    Ok(body.to_bytes())
}

/// Is it an address that the whole Internet may reach? (IANA's special-purpose registries, RFC 6890.)
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.is_documentation()
                || a == 0
                || a >= 240
                || (a == 100 && b & 0xc0 == 64)
                || (a == 192 && b == 0 && c == 0)
                || (a == 198 && b & 0xfe == 18))
        }
        IpAddr::V6(v6) => match embedded(v6) {
            Some(v4) => is_public(v4),
            None => v6.segments()[0] & 0xe000 == 0x2000 && v6.segments()[..2] != [0x2001, 0xdb8],
        },
    }
}

/// The address of version 4 that one of version 6 leads to (NAT64, 6to4).
fn embedded(address: Ipv6Addr) -> Option<IpAddr> {
    let octets = address.octets();
    let at = match address.segments() {
        [0x64, 0xff9b, ..] => 12,
        [0x2002, ..] => 2,
        _ => return None,
    };
    Some(IpAddr::from([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_internet_are_public() {
        for text in ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "1.1.1.1"] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
        for text in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "198.18.0.1",
            "::1",
            "::",
            "::ffff:10.0.0.1",
            "fe80::1",
            "fd00::1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001:db8::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn urls_are_taken_apart() {
        let place = Place::parse("https://Keys.example:8443/a?b").ok().unwrap();
        assert_eq!((place.secure, &*place.host, place.port), (true, "keys.example", 8443));
        assert_eq!(Place::parse("http://a/").ok().unwrap().port, 80);
        let weaker = |one, other| {
            let [one, other] = [one, other].map(|url| Place::parse(url).ok().unwrap());
            one.is_weaker_than(&other)
        };
        assert!(weaker("http://a/keys", "https://a/"));
        assert!(!weaker("https://a/keys", "https://a/") && !weaker("http://a/keys", "http://a/"));
        let near = |one, other| {
            let [one, other] = [one, other].map(|url| Place::parse(url).ok().unwrap());
            one.is_as_near_as(&other)
        };
        assert!(near("http://b.y.svc/", "http://a.x.svc/") && near("http://10.0.0.1/", "http://a.test/"));
        assert!(
            !near("http://169.254.169.254/", "http://a.x.svc/") && !near("http://b.test/", "http://a.x.svc/")
        );
        assert!(!near("http://b.y.svc.evil.test/", "http://a.x.svc.cluster.local/"));
        for url in ["ftp://a/", "a", "https://", "http://user@a/", "file:///etc/passwd"] {
            assert!(Place::parse(url).is_err(), "{url}");
        }
    }
}
