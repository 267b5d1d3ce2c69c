//! `auth-tls-*`: certificates that clients show.

use http::HeaderName;
use plenipo_model::{ClientAuth, ClientRoots, HeaderEdit, Template};

use super::super::policy::Policy;
use super::annotations::Annotations;
use crate::secrets::{SecretName, Secrets};

const SECRET: &str = "auth-tls-secret";

/// The fields by which Services learn of a client's certificate. What clients send by these names is always left out.
pub(super) const FIELDS: [(&str, &str); 4] = [
    ("ssl-client-verify", "%DOWNSTREAM_PEER_VERIFIED%"),
    ("ssl-client-subject-dn", "%DOWNSTREAM_PEER_SUBJECT%"),
    ("ssl-client-issuer-dn", "%DOWNSTREAM_PEER_ISSUER%"),
    (CERTIFICATE, "%DOWNSTREAM_PEER_CERT%"),
];
const CERTIFICATE: &str = "ssl-client-cert";

pub(super) fn read(annotations: &mut Annotations<'_, '_>, policy: &mut Policy, secrets: &mut Secrets<'_>) {
    let written = annotations.text(SECRET);
    let verify = annotations.text("auth-tls-verify-client").unwrap_or("on");
    let passes = annotations.flag("auth-tls-pass-certificate-to-upstream") == Some(true);
    let names = annotations.text("auth-tls-match-cn");
    if let Some(depth) = annotations.number("auth-tls-verify-depth").filter(|depth| *depth != 1) {
        let message = format!("the length of the chain is not bound to {depth}");
        annotations.unapplied("auth-tls-verify-depth", message, "remove it");
    }
    if annotations.text("auth-tls-error-page").is_some() {
        let message =
            "clients without a valid certificate cannot be sent elsewhere: their handshake fails".to_owned();
        annotations.unapplied("auth-tls-error-page", message, "remove it");
    }
    for (name, _) in FIELDS {
        // CGI-like applications cannot tell the look-alike from the real one, and nginx drops it.
        let alike = HeaderName::from_bytes(name.replace('-', "_").as_bytes()).expect("a token");
        policy.request_headers.remove.extend([HeaderName::from_static(name), alike]);
    }
    let Some(written) = written else { return };
    if verify == "off" {
        return;
    }
    if let Some(names) = names {
        let message = format!("subjects cannot be compared with '{names}'");
        annotations.close(
            "auth-tls-match-cn",
            &message,
            "let an authority of your own issue the certificates",
        );
    }
    let Some(secret) = secret_name(annotations, SECRET, written) else {
        policy.client_auth = Some(Err("auth-tls-secret cannot be read".to_owned()));
        return;
    };
    let roots = match roots(&secret, annotations, secrets) {
        Ok(roots) => roots,
        Err(reason) => {
            annotations.close(SECRET, &reason, "create the Secret with ca.crt, or repair its content");
            policy.client_auth = Some(Err(reason));
            return;
        }
    };
    policy.client_auth = Some(Ok(match verify {
        "on" => ClientAuth::Required(roots),
        "optional" => ClientAuth::Optional(roots),
        "optional_no_ca" => ClientAuth::Optional(ClientRoots { accept_untrusted: true, ..roots }),
        other => {
            let message = format!("'{other}' is not a way to ask for certificates");
            annotations.close(
                "auth-tls-verify-client",
                &message,
                "write on, optional, optional_no_ca or off",
            );
            ClientAuth::Required(roots)
        }
    }));
    tell(policy, passes);
}

/// What certificates are checked against.
fn roots(
    secret: &SecretName,
    annotations: &mut Annotations<'_, '_>,
    secrets: &mut Secrets<'_>,
) -> Result<ClientRoots, String> {
    let roots = secrets.roots(secret, annotations.findings)?;
    let revocation = match secrets.has_entry(secret, "ca.crl") {
        true => Some(secrets.revocation(secret, annotations.findings)?),
        false => None,
    };
    Ok(ClientRoots::new(roots, revocation))
}

/// What Services are told.
fn tell(policy: &mut Policy, passes: bool) {
    let told = FIELDS.into_iter().filter(|(name, _)| passes || *name != CERTIFICATE);
    policy.request_headers.add.extend(told.map(|(name, value)| HeaderEdit {
        name: HeaderName::from_static(name),
        value: Template::parse(value).expect("it is one of those above"),
        append: false,
    }));
}

/// `namespace/name`, which must be the Ingress' own namespace.
pub(super) fn secret_name(
    annotations: &mut Annotations<'_, '_>,
    annotation: &'static str,
    written: &str,
) -> Option<SecretName> {
    let own = &*annotations.object.id.namespace;
    let (namespace, name) = written.split_once('/').unwrap_or((own, written));
    if namespace != own {
        let message = format!("the Secret is in {namespace}, an Ingress reads those of its own namespace");
        annotations.close(annotation, &message, "create it beside the Ingress");
        return None;
    }
    Some(SecretName::Secret { namespace: namespace.to_owned(), name: name.to_owned() })
}
