use x509_parser::asn1_rs::{FromBer, Header};

use super::*;
use crate::sample::certified_connection;

#[test]
fn a_certificate() {
    let tls = certified_connection().tls.expect("TLS");
    let client = tls.client.expect("a certificate");
    assert_eq!(client.subject, r"CN=client,O=M\C3\BCller\, S\C3\B6hne \+ Co,C=DE");
    assert_eq!(client.issuer, client.subject);
    assert_eq!(client.serial, "0abc");
    assert_eq!(client.sha256, hex(digest::digest(&digest::SHA256, &tls.client_chain[0]).as_ref()));
    assert_eq!(client.dns, ["a.example.com", "b.example.com"]);
    assert_eq!(client.uris, ["spiffe://example.com/client"]);
}

#[test]
fn something_else() {
    let tls = certified_connection().tls.expect("TLS");
    assert_eq!(ClientCertificate::read(b""), None);
    assert_eq!(ClientCertificate::read(b"-----BEGIN CERTIFICATE-----"), None);
    for end in 0..tls.client_chain[0].len() {
        assert_eq!(ClientCertificate::read(&tls.client_chain[0][..end]), None);
    }
}

#[test]
fn escapes() {
    for (text, expected) in [
        ("", ""),
        ("a b", "a b"),
        (" a ", r"\ a\ "),
        (" ", r"\ "),
        ("#a#", r"\#a#"),
        (r#"a,b+c"d\e<f>g;h=i"#, r#"a\,b\+c\"d\\e\<f\>g\;h=i"#),
        ("a\n\u{7f}", r"a\0A\7F"),
        ("\u{20ac}", r"\E2\82\AC"),
    ] {
        assert_eq!(escaped(text), expected, "{text:?}");
    }
}

#[test]
fn values_of_every_string_type() {
    for (der, expected) in [
        (&[12, 2, 0xc3, 0xa4][..], r"\C3\A4"),
        (&[12, 1, 0xff], "#0C01FF"),
        (&[19, 1, b'a'], "a"),
        (&[20, 1, 0xe4], r"\C3\A4"),
        (&[30, 4, 0, b'a', 0x20, 0xac], r"a\E2\82\AC"),
        (&[28, 4, 0, 0, 0, b'a'], "a"),
        (&[28, 4, 0xff, 0, 0, b'a'], "#1C04FF000061"),
        (&[2, 1, 5], "#020105"),
    ] {
        let (data, header) = Header::from_ber(der).expect("DER");
        assert_eq!(value(&Any::new(header, data)), expected);
    }
}

#[test]
fn pem_in_a_header() {
    let tls = certified_connection().tls.expect("TLS");
    let encoded = url_encoded_pem(&tls.client_chain[..1]);
    let decoded = percent_encoding::percent_decode_str(&encoded).decode_utf8().expect("text").into_owned();
    let pem = rcgen_pem(&tls.client_chain[0]);
    assert_eq!(decoded, pem);
    assert!(encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"%-".contains(&byte)));
    assert_eq!(url_encoded_pem(&tls.client_chain), encoded.repeat(2));
}

fn rcgen_pem(der: &[u8]) -> String {
    use rustls_pki_types::pem::PemObject;
    // Written by hand here, read by the TLS stack's own reader.
    let lines: Vec<String> = STANDARD
        .encode(der)
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8(line.to_vec()).expect("ASCII"))
        .collect();
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
    assert_eq!(CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM").as_ref(), der);
    pem
}
