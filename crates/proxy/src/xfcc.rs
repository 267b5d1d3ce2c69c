//! `x-forwarded-client-cert`: what upstreams are told about the client's certificate, in the form and by the five modes
//! that Envoy defines ("HTTP header manipulation: x-forwarded-client-cert").

use std::borrow::Cow;

use http::{HeaderName, HeaderValue};
use plenipo_model::{ClientCertDetails, ClientCertHeader};

use crate::client_certificate::url_encoded_pem;
use crate::exchange::Shown;
use crate::fields::Fields;

#[cfg(test)]
mod tests;

const FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// Sets, extends or removes the field as `mode` says.
pub fn client_cert_header(mode: &ClientCertHeader, shown: Option<Shown<'_>>, headers: &mut Fields) {
    match (mode, shown) {
        (ClientCertHeader::AlwaysForwardOnly, _) | (ClientCertHeader::ForwardOnly, Some(_)) => {}
        (ClientCertHeader::SanitizeSet(details), Some(shown)) => {
            set(headers, Vec::new(), &hop(*details, shown));
        }
        (ClientCertHeader::AppendForward(details), Some(shown)) => {
            let lines = headers.get_all(FORWARDED_CLIENT_CERT).iter();
            let earlier: Vec<u8> =
                lines.flat_map(|line| [line.as_bytes(), b","]).flatten().copied().collect();
            set(headers, earlier, &hop(*details, shown));
        }
        _ => {
            headers.remove(FORWARDED_CLIENT_CERT);
        }
    }
}

fn set(headers: &mut Fields, mut value: Vec<u8>, hop: &str) {
    value.extend_from_slice(hop.as_bytes());
    match HeaderValue::from_bytes(&value) {
        Ok(value) => {
            headers.insert(FORWARDED_CLIENT_CERT, value);
        }
        // A URI name in the certificate with a control byte in it: say nothing rather than something else.
        Err(_) => {
            headers.remove(FORWARDED_CLIENT_CERT);
        }
    }
}

/// This hop's element. The order of the keys, and that `Subject` and `URI` are there even when empty, is Envoy's.
fn hop(details: ClientCertDetails, Shown { client, chain, own_uris, .. }: Shown<'_>) -> String {
    let mut keys: Vec<String> = own_uris.iter().map(|uri| format!("By={}", quoted(uri))).collect();
    keys.push(format!("Hash={}", client.sha256));
    if details.cert {
        keys.push(format!("Cert=\"{}\"", url_encoded_pem(&chain[..chain.len().min(1)])));
    }
    if details.chain {
        keys.push(format!("Chain=\"{}\"", url_encoded_pem(chain)));
    }
    if details.subject {
        keys.push(format!("Subject=\"{}\"", client.subject));
    }
    if details.uri && client.uris.is_empty() {
        keys.push("URI=".to_owned());
    } else if details.uri {
        keys.extend(client.uris.iter().map(|uri| format!("URI={}", quoted(uri))));
    }
    if details.dns {
        keys.extend(client.dns.iter().map(|dns| format!("DNS={}", quoted(dns))));
    }
    keys.join(";")
}

/// In quotes when it would else read as more than one value; Envoy leaves it bare, and a certificate could speak for
/// another hop.
fn quoted(value: &str) -> Cow<'_, str> {
    if value.contains([',', ';', '"']) {
        Cow::Owned(format!("\"{}\"", value.replace('"', "\\\"")))
    } else {
        Cow::Borrowed(value)
    }
}
