//! Facts for tests.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderName, HeaderValue, Method, Version};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, SanType};
use rustls_pki_types::CertificateDer;
use tokio::time::Instant;

use crate::exchange::{ClientCertificate, Connection, Exchange, Tls};
use crate::fields::Fields;

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// Over clear text, from 203.0.113.7.
pub(crate) fn connection() -> Connection {
    Connection {
        id: 42,
        direct: address("10.0.0.9:4000"),
        peer: address("203.0.113.7:51000"),
        peer_text: Connection::text(address("203.0.113.7:51000").ip()),
        local: address("192.0.2.1:8443"),
        declared_port: 443,
        tls: None,
    }
}

/// Over TLS, with a client certificate for two DNS names and one URI.
pub(crate) fn certified_connection() -> Connection {
    let der = CLIENT.clone();
    Connection {
        tls: Some(Box::new(Tls {
            version: "TLSv1.3",
            cipher: "TLS_AES_128_GCM_SHA256",
            server_name: Some("shop.example.com".to_owned()),
            client: ClientCertificate::read(&der),
            client_chain: vec![der.clone(), der],
            client_verified: true,
            own_uris: vec![],
        })),
        ..connection()
    }
}

static CLIENT: LazyLock<CertificateDer<'static>> = LazyLock::new(|| {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CountryName, "DE");
    params.distinguished_name.push(DnType::OrganizationName, "Müller, Söhne + Co");
    params.distinguished_name.push(DnType::CommonName, "client");
    params.serial_number = Some(vec![0x0a, 0xbc].into());
    params.subject_alt_names = vec![
        SanType::DnsName("a.example.com".try_into().expect("ASCII")),
        SanType::DnsName("b.example.com".try_into().expect("ASCII")),
        SanType::URI("spiffe://example.com/client".try_into().expect("ASCII")),
    ];
    let key = KeyPair::generate().expect("a key");
    params.self_signed(&key).expect("a certificate").into()
});

/// A finished GET of `/old?q=1` with status 200.
pub(crate) fn exchange(connection: Connection) -> Exchange {
    Exchange {
        client: connection.peer.ip(),
        identity: None,
        connection: Rc::new(connection),
        // 2026-01-02T03:04:05.678901234Z
        started: UNIX_EPOCH + Duration::new(1_767_323_045, 678_901_234),
        begun: Instant::now(),
        method: Method::GET,
        version: Version::HTTP_11,
        scheme: "http",
        authority: "Shop.example.com:8080".to_owned(),
        original_path: "/old?q=1".to_owned(),
        sent_path: None,
        request_id: Some(HeaderValue::from_static("0af7651916cd43dd8448eb211c80319c")),
        route: Some("shop".into()),
        target: None,
        cluster: Some("cluster_shop".into()),
        upstream: Some(address("10.1.2.3:80")),
        upstream_local: Some(address("10.1.0.1:33333")),
        upstream_failure: None,
        upstream_time: Some(Duration::from_millis(7)),
        request_sent_after: Some(Duration::from_millis(3)),
        status: 200,
        flags: "",
        details: "via_upstream",
        added: None,
        bytes_received: 12,
        bytes_sent: 345,
        grpc_status: None,
        kept_request: Fields::new(),
        kept_response: Fields::new(),
        kept_trailers: Fields::new(),
    }
}

pub(crate) fn headers(fields: &[(&str, &str)]) -> Fields {
    fields
        .iter()
        .map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            (name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"))
        })
        .collect()
}

/// All fields in order, for comparison.
pub(crate) fn fields(headers: &Fields) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}
