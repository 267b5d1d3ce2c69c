//! Reads what access logs, headers and rules ask of a client certificate. Verifying it was the TLS stack's part.

use std::fmt::Write;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use x509_parser::asn1_rs::{Any, Tag, ToDer};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Name};

use crate::exchange::ClientCertificate;

#[cfg(test)]
mod tests;

impl ClientCertificate {
    /// Reads a certificate; none when it is malformed.
    pub fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let (mut dns, mut uris) = (Vec::new(), Vec::new());
        let names = certificate.subject_alternative_name().ok().flatten();
        for name in names.into_iter().flat_map(|extension| &extension.value.general_names) {
            match name {
                GeneralName::DNSName(name) => dns.push((*name).to_owned()),
                GeneralName::URI(uri) => uris.push((*uri).to_owned()),
                _ => {}
            }
        }
        let serial = certificate.raw_serial();
        // DER puts a zero byte before a number whose first bit is set; it is not part of the number.
        let serial = if serial.len() > 1 { serial.strip_prefix(&[0]).unwrap_or(serial) } else { serial };
        Some(Self {
            subject: rfc2253(certificate.subject()),
            issuer: rfc2253(certificate.issuer()),
            serial: hex(serial),
            sha256: hex(digest::digest(&digest::SHA256, der).as_ref()),
            dns,
            uris,
        })
    }
}

/// PEM text of these certificates, with what cannot stand in a header value percent-encoded, as Envoy does it.
pub(crate) fn url_encoded_pem(chain: &[CertificateDer<'_>]) -> String {
    let mut out = String::new();
    for certificate in chain {
        out.push_str("-----BEGIN%20CERTIFICATE-----%0A");
        for line in STANDARD.encode(certificate).as_bytes().chunks(64) {
            for byte in line {
                match byte {
                    b'+' => out.push_str("%2B"),
                    b'/' => out.push_str("%2F"),
                    b'=' => out.push_str("%3D"),
                    _ => out.push(char::from(*byte)),
                }
            }
            out.push_str("%0A");
        }
        out.push_str("-----END%20CERTIFICATE-----%0A");
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        // Writing to a string does not fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// A name in the form of RFC 2253, as OpenSSL's `XN_FLAG_RFC2253` prints it: last part first, parts of one set joined
/// by `+`, unknown attributes and values as hexadecimal DER.
fn rfc2253(name: &X509Name<'_>) -> String {
    let mut sets: Vec<String> = name
        .iter_rdn()
        .map(|set| {
            // Parts of one set are reversed as well.
            let mut parts: Vec<String> = set
                .iter()
                .map(|part| {
                    let oid = part.attr_type().to_id_string();
                    match short_name(&oid) {
                        Some(short) => format!("{short}={}", value(part.attr_value())),
                        None => format!("{oid}={}", dump(part.attr_value())),
                    }
                })
                .collect();
            parts.reverse();
            parts.join("+")
        })
        .collect();
    sets.reverse();
    sets.join(",")
}

/// OpenSSL's short names.
fn short_name(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "2.5.4.3" => "CN",
        "2.5.4.4" => "SN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "street",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.12" => "title",
        "2.5.4.13" => "description",
        "2.5.4.15" => "businessCategory",
        "2.5.4.16" => "postalAddress",
        "2.5.4.17" => "postalCode",
        "2.5.4.20" => "telephoneNumber",
        "2.5.4.41" => "name",
        "2.5.4.42" => "GN",
        "2.5.4.43" => "initials",
        "2.5.4.44" => "generationQualifier",
        "2.5.4.45" => "x500UniqueIdentifier",
        "2.5.4.46" => "dnQualifier",
        "2.5.4.65" => "pseudonym",
        "2.5.4.72" => "role",
        "2.5.4.97" => "organizationIdentifier",
        "1.2.840.113549.1.9.1" => "emailAddress",
        "1.2.840.113549.1.9.2" => "unstructuredName",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.3.6.1.4.1.311.60.2.1.1" => "jurisdictionL",
        "1.3.6.1.4.1.311.60.2.1.2" => "jurisdictionST",
        "1.3.6.1.4.1.311.60.2.1.3" => "jurisdictionC",
        _ => return None,
    })
}

fn value(any: &Any<'_>) -> String {
    let text: Option<String> = match any.tag() {
        Tag::Utf8String => std::str::from_utf8(any.data).ok().map(str::to_owned),
        // One byte per character.
        Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString | Tag::T61String => {
            Some(any.data.iter().map(|byte| char::from(*byte)).collect())
        }
        Tag::BmpString => {
            let units =
                any.data.chunks(2).map(|unit| unit.iter().fold(0, |unit, b| unit << 8 | u16::from(*b)));
            String::from_utf16(&units.collect::<Vec<_>>()).ok()
        }
        Tag::UniversalString => {
            let units =
                any.data.chunks(4).map(|unit| unit.iter().fold(0, |unit, b| unit << 8 | u32::from(*b)));
            units.map(char::from_u32).collect()
        }
        _ => None,
    };
    text.map_or_else(|| dump(any), |text| escaped(&text))
}

/// `#` and the DER, in upper-case hexadecimal.
fn dump(any: &Any<'_>) -> String {
    format!("#{}", any.to_der_vec().map(|der| hex(&der)).unwrap_or_default().to_ascii_uppercase())
}

/// RFC 2253 §2.4; control and non-ASCII bytes as `\XX`, too.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let last = text.len().saturating_sub(1);
    for (at, byte) in text.bytes().enumerate() {
        let special = matches!(byte, b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';')
            || (byte == b'#' && at == 0)
            || (byte == b' ' && (at == 0 || at == last));
        match byte {
            _ if special => out.extend(['\\', char::from(byte)]),
            0x20..=0x7e => out.push(char::from(byte)),
            _ => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\{byte:02X}");
            }
        }
    }
    out
}
