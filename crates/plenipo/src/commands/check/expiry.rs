//! Certificates that end: what only who knows the time can tell.

use std::collections::BTreeSet;

use plenipo_model::{Certificate, ChainTls, Edge, Source};
use plenipo_resources::{Code, ObjectId, Problem, Severity};

/// So long before its end a certificate that nobody renewed is worth a word.
const SOON: i64 = 30 * DAY;
/// Seconds.
const DAY: i64 = 24 * 3600;

/// What is wrong with the certificates that are shown, to clients and to upstreams, at a time (seconds since 1970).
pub(super) fn problems(edge: &Edge, now: i64) -> Vec<Problem> {
    let chains = edge.listeners.iter().flat_map(|listener| &listener.chains);
    let servers = chains.filter_map(|chain| match &chain.tls {
        ChainTls::Terminate(server) => Some(server),
        _ => None,
    });
    let to_clients =
        servers.flat_map(|server| server.certificates.iter().map(move |one| (&server.source, one)));
    let clients = edge.clusters.values().filter_map(|cluster| cluster.tls.as_deref());
    let to_upstreams = clients.filter_map(|tls| Some((&tls.source, tls.certificate.as_ref()?)));
    let mut told = BTreeSet::new();
    to_clients
        .chain(to_upstreams)
        .filter(|(source, one)| told.insert((source.to_string(), one.fingerprint().to_string())))
        .filter_map(|(source, certificate)| problem(source, certificate, now))
        .collect()
}

fn problem(source: &Source, certificate: &Certificate, now: i64) -> Option<Problem> {
    let named = [certificate.names(), certificate.uris()].concat().join(", ");
    let days = |seconds: i64| (seconds.max(0) + DAY - 1) / DAY;
    let left = certificate.not_after() - now;
    let (severity, code, message) = if left <= 0 {
        let message = format!("the certificate for {named} ended {} days ago: it is refused", days(-left));
        (Severity::Error, "certificate-expired", message)
    } else if certificate.not_before() > now {
        let message =
            format!("the certificate for {named} begins in {} days", days(certificate.not_before() - now));
        (Severity::Error, "certificate-not-yet-valid", message)
    } else if left < SOON && certificate.not_after() - certificate.not_before() > SOON {
        let message = format!("the certificate for {named} ends in {} days", days(left));
        (Severity::Warning, "certificate-ends-soon", message)
    } else {
        return None;
    };
    Some(Problem {
        severity,
        code: Code(code),
        object: object(source),
        origin: None,
        field: String::new(),
        message,
        fix: "renew it, and put the new one into the Secret".to_owned(),
    })
}

/// `Gateway istio-system/web`.
fn object(source: &Source) -> Option<ObjectId> {
    let (kind, rest) = source.as_str().split_once(' ')?;
    let (namespace, name) = rest.split(' ').next()?.split_once('/')?;
    Some(ObjectId::new(kind, namespace, name))
}

#[cfg(test)]
mod tests {
    use plenipo_testkit::{Authority, Leaf};

    use super::*;

    fn found(leaf: &Leaf, later: i64) -> Option<&'static str> {
        let issued = Authority::new("expiry").issue(leaf);
        let read = Certificate::from_pem(issued.cert_pem().as_bytes(), issued.key_pem().as_bytes()).unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let found = problem(&Source::new("Gateway a/b"), &read, i64::try_from(now).unwrap() + later);
        found.map(|problem| problem.code.0)
    }

    #[test]
    fn ends_are_told() {
        let leaf = || Leaf::server(&["a.test"]);
        assert_eq!(found(&leaf().expired(), 0), Some("certificate-expired"));
        assert_eq!(found(&leaf().not_yet_valid(), 0), Some("certificate-not-yet-valid"));
        assert_eq!(found(&leaf(), 0), None);
        let object = object(&Source::new("Gateway istio-system/web"));
        assert_eq!(object, Some(ObjectId::new("Gateway", "istio-system", "web")));
    }
}
