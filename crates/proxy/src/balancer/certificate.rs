//! What targets are told about a client's certificate: `X-Amzn-Mtls-*`.

use http::{HeaderName, HeaderValue};
use plenipo_model::ClientCertificateFields;
use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::client_certificate::url_encoded_pem;
use crate::exchange::Tls;
use crate::fields::Fields;

/// Removes what the client sent by these names, and writes what is known.
pub(super) fn write(fields: &ClientCertificateFields, tls: Option<&Tls>, headers: &mut Fields) {
    headers.retain(|name| {
        !name.as_str().starts_with(ClientCertificateFields::PREFIX) && fields.names().all(|own| own != name)
    });
    let Some(tls) = tls.filter(|tls| !tls.client_chain.is_empty()) else { return };
    match fields {
        ClientCertificateFields::None => {}
        ClientCertificateFields::Passthrough { name } => set(headers, name, &pem(&tls.client_chain)),
        ClientCertificateFields::Verified { serial, issuer, subject, validity, leaf } => {
            let Some(client) = &tls.client else { return };
            set(headers, serial, &client.serial.to_ascii_uppercase());
            set(headers, issuer, &client.issuer);
            set(headers, subject, &client.subject);
            set(headers, validity, &period(&tls.client_chain[0]).unwrap_or_default());
            set(headers, leaf, &pem(&tls.client_chain[..1]));
        }
    }
}

fn set(headers: &mut Fields, name: &HeaderName, value: &str) {
    // Names are escaped and PEM is encoded: what is told is printable.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// URL-encoded but for `+`, `=` and `/`.
fn pem(chain: &[CertificateDer<'_>]) -> String {
    url_encoded_pem(chain).replace("%2B", "+").replace("%3D", "=").replace("%2F", "/")
}

/// `NotBefore=2023-09-21T01:50:17Z;NotAfter=2024-09-20T01:50:17Z`.
fn period(leaf: &[u8]) -> Option<String> {
    let (_, leaf) = X509Certificate::from_der(leaf).ok()?;
    let text = |seconds| OffsetDateTime::from_unix_timestamp(seconds).ok()?.format(&Rfc3339).ok();
    let (begin, end) = (leaf.validity().not_before.timestamp(), leaf.validity().not_after.timestamp());
    Some(format!("NotBefore={};NotAfter={}", text(begin)?, text(end)?))
}
