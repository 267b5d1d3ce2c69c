use super::*;
use crate::exchange::Connection;
use crate::sample::{certified_connection, connection, fields, headers};

const ALL: ClientCertDetails =
    ClientCertDetails { subject: true, cert: true, chain: true, dns: true, uri: true };
const NONE: ClientCertDetails =
    ClientCertDetails { subject: false, cert: false, chain: false, dns: false, uri: false };

fn sent(mode: &ClientCertHeader, connection: &Connection) -> Option<String> {
    let mut headers =
        headers(&[("x-forwarded-client-cert", "Hash=1"), ("x-forwarded-client-cert", "Hash=2")]);
    client_cert_header(mode, connection.shown(), &mut headers);
    let values: Vec<String> = fields(&headers).into_iter().map(|(_, value)| value).collect();
    (!values.is_empty()).then(|| values.join("|"))
}

#[test]
fn five_modes() {
    let (clear, certified) = (connection(), certified_connection());
    let mut uncertified = certified_connection();
    if let Some(tls) = &mut uncertified.tls {
        tls.client = None;
    }
    let kept = Some("Hash=1|Hash=2".to_owned());
    let hash =
        certified.tls.as_ref().and_then(|tls| tls.client.as_ref()).expect("a certificate").sha256.clone();
    for unsure in [&clear, &uncertified] {
        assert_eq!(sent(&ClientCertHeader::Sanitize, unsure), None);
        assert_eq!(sent(&ClientCertHeader::ForwardOnly, unsure), None);
        assert_eq!(sent(&ClientCertHeader::AppendForward(ALL), unsure), None);
        assert_eq!(sent(&ClientCertHeader::SanitizeSet(ALL), unsure), None);
        assert_eq!(sent(&ClientCertHeader::AlwaysForwardOnly, unsure), kept);
    }
    assert_eq!(sent(&ClientCertHeader::Sanitize, &certified), None);
    assert_eq!(sent(&ClientCertHeader::ForwardOnly, &certified), kept);
    assert_eq!(sent(&ClientCertHeader::AlwaysForwardOnly, &certified), kept);
    assert_eq!(sent(&ClientCertHeader::SanitizeSet(NONE), &certified), Some(format!("Hash={hash}")));
    assert_eq!(
        sent(&ClientCertHeader::AppendForward(NONE), &certified),
        Some(format!("Hash=1,Hash=2,Hash={hash}"))
    );
}

#[test]
fn every_detail() {
    let mut connection = certified_connection();
    let value = sent(&ClientCertHeader::SanitizeSet(ALL), &connection).expect("a value");
    let keys: Vec<&str> = value.split(';').map(|part| part.split('=').next().unwrap_or_default()).collect();
    assert_eq!(keys, ["Hash", "Cert", "Chain", "Subject", "URI", "DNS", "DNS"]);
    assert!(value.contains(r#";Subject="CN=client,O=M\C3\BCller\, S\C3\B6hne \+ Co,C=DE";"#), "{value}");
    assert!(value.ends_with(";URI=spiffe://example.com/client;DNS=a.example.com;DNS=b.example.com"));
    assert_eq!(value.matches("-----BEGIN%20CERTIFICATE-----%0A").count(), 3);

    connection.tls.as_mut().expect("TLS").own_uris = vec!["spiffe://gateway".to_owned(), "a;b".to_owned()];
    let value = sent(&ClientCertHeader::SanitizeSet(NONE), &connection).expect("a value");
    assert!(value.starts_with(r#"By=spiffe://gateway;By="a;b";Hash="#), "{value}");

    let client = connection.tls.as_mut().and_then(|tls| tls.client.as_mut()).expect("a certificate");
    client.uris.clear();
    client.subject.clear();
    client.dns = vec!["a,Hash=2;\"".to_owned()];
    let details = ClientCertDetails { subject: true, uri: true, dns: true, ..NONE };
    let value = sent(&ClientCertHeader::SanitizeSet(details), &connection).expect("a value");
    assert!(value.ends_with(r#";Subject="";URI=;DNS="a,Hash=2;\"""#), "{value}");
}

#[test]
fn a_certificate_that_no_header_can_hold() {
    let mut connection = certified_connection();
    let client = connection.tls.as_mut().and_then(|tls| tls.client.as_mut()).expect("a certificate");
    client.uris = vec!["a\nb".to_owned()];
    assert_eq!(sent(&ClientCertHeader::SanitizeSet(ALL), &connection), None);
    assert_eq!(sent(&ClientCertHeader::AppendForward(ALL), &connection), None);
}
