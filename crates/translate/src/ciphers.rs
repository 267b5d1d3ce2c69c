//! Cipher suites by name.

use plenipo_resources::Object;

use crate::findings::{Findings, Flaw};

/// Suites that the TLS stack (rustls with aws-lc-rs) has: IANA's name and OpenSSL's.
const SUITES: [(&str, &str); 9] = [
    ("TLS_AES_256_GCM_SHA384", "TLS13_AES_256_GCM_SHA384"),
    ("TLS_AES_128_GCM_SHA256", "TLS13_AES_128_GCM_SHA256"),
    ("TLS_CHACHA20_POLY1305_SHA256", "TLS13_CHACHA20_POLY1305_SHA256"),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384"),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305"),
];

/// The suites among `written` that can be spoken, as written. BoringSSL's groups (`[A|B]`) are taken apart.
///
/// # Errors
/// When suites were named and none of them can be spoken: the stack's own list is not what was asked for.
pub(crate) fn suites(
    written: Option<&Vec<String>>,
    field: &str,
    object: &Object,
    findings: &mut Findings,
) -> Result<Vec<String>, Flaw> {
    let field = format!("{field}.cipher_suites");
    let names = written.into_iter().flatten().flat_map(|text| text.split(['[', ']', '|', ':', ',']));
    let names: Vec<&str> = names.map(str::trim).filter(|name| !name.is_empty()).collect();
    let mut known = Vec::new();
    for name in &names {
        let same = |(iana, openssl): &(&str, &str)| {
            name.eq_ignore_ascii_case(iana) || name.eq_ignore_ascii_case(openssl)
        };
        if SUITES.iter().any(same) {
            known.push((*name).to_owned());
        } else {
            let message = format!("the cipher suite '{name}' is not known or not safe, it is not offered");
            findings.warn(
                object,
                "unknown-cipher-suite",
                &field,
                message,
                "use an ECDHE suite with GCM or ChaCha20",
            );
        }
    }
    if known.is_empty() && !names.is_empty() {
        let message = "none of the cipher suites can be spoken";
        return Err(Flaw::new(
            "unknown-cipher-suite",
            field,
            message,
            "use an ECDHE suite with GCM or ChaCha20",
        ));
    }
    Ok(known)
}
