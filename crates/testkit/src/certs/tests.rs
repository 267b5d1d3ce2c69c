use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateRevocationListDer, UnixTime};
use rustls_pki_types::ServerName;
use rustls_pki_types::pem::PemObject;
use std::sync::Arc;

use super::{Authority, Issued, KeyKind, Leaf};
use crate::tls;

fn accepted(by: &Authority, issued: &Issued, revocations: &[String]) -> Result<(), rustls::Error> {
    let lists = revocations
        .iter()
        .map(|pem| CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).expect("PEM"));
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(by.roots()), tls::provider())
        .with_crls(lists)
        .only_check_end_entity_revocation()
        .build()
        .expect("there is a root");
    let (name, chain) = (ServerName::try_from("shop.example.com").expect("a name"), issued.chain());
    verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], UnixTime::now()).map(drop)
}

#[test]
fn every_kind_of_key_makes_a_valid_certificate() {
    let authority = Authority::new("ca");
    for kind in [KeyKind::EcdsaP256, KeyKind::Ed25519, KeyKind::Rsa2048, KeyKind::Rsa4096] {
        let issued = authority.issue(&Leaf::server(&["shop.example.com"]).key(kind));
        assert_eq!(accepted(&authority, &issued, &[]), Ok(()), "{kind:?}");
    }
    let rsa = Authority::with_key("rsa ca", KeyKind::Rsa2048);
    assert_eq!(accepted(&rsa, &rsa.intermediate("below").server(&["shop.example.com"]), &[]), Ok(()));
}

#[test]
fn bad_certificates_are_bad() {
    let authority = Authority::new("ca");
    let leaf = || Leaf::server(&["shop.example.com"]);
    assert!(accepted(&authority, &authority.issue(&leaf().expired()), &[]).is_err());
    assert!(accepted(&authority, &authority.issue(&leaf().not_yet_valid()), &[]).is_err());
    assert!(accepted(&authority, &Authority::new("other").issue(&leaf()), &[]).is_err());
    assert!(accepted(&authority, &authority.server(&["127.0.0.1"]), &[]).is_err());
}

#[test]
fn revocation_lists_name_what_they_revoke() {
    let authority = Authority::new("ca");
    let [kept, revoked] = [(); 2].map(|()| authority.server(&["shop.example.com"]));
    assert_eq!(accepted(&authority, &kept, &[authority.revocation_list(&[])]), Ok(()));
    let list = authority.revocation_list(&[&revoked]);
    assert_eq!(accepted(&authority, &kept, std::slice::from_ref(&list)), Ok(()));
    assert!(accepted(&authority, &revoked, &[list]).is_err());
}

#[test]
fn secrets_are_yaml() {
    let authority = Authority::new("ca");
    let issued = authority.server(&["shop.example.com"]);
    let yaml = issued.secret_yaml("shop-cert", "default");
    assert!(yaml.contains("type: kubernetes.io/tls\ndata:\n  tls.crt: LS0t"), "{yaml}");
    assert!(issued.secret_yaml_with_ca("a", "b", &authority).contains("  ca.crt: LS0t"));
    assert!(
        authority.secret_yaml("a", "b", Some(&authority.revocation_list(&[]))).contains("  crl.pem: LS0t")
    );
}
