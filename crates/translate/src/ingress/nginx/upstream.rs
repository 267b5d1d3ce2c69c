//! How the Services are reached: protocol, TLS, times, retries, and who stays with whom.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use plenipo_model::{
    Balance, HashKey, RetryOn, RetryPolicy, Roots, Source, TlsClient, TlsVersion, UpstreamProtocol, Verify,
};

use super::super::policy::Policy;
use super::annotations::Annotations;
use super::certificates::secret_name;
use crate::secrets::Secrets;

const PROTOCOL: &str = "backend-protocol";

pub(super) fn read(
    annotations: &mut Annotations<'_, '_>,
    policy: &mut Policy,
    source: &Source,
    secrets: &mut Secrets<'_>,
) {
    let encrypted = protocol(annotations, policy);
    let terms = [
        "proxy-ssl-secret",
        "proxy-ssl-verify",
        "proxy-ssl-name",
        "proxy-ssl-server-name",
        "proxy-ssl-protocols",
    ]
    .map(|name| annotations.text(name).unwrap_or_default());
    let tls = tls(annotations, source, secrets);
    if encrypted {
        if tls.verify == Verify::Nothing && !annotations.is_closed() {
            let message =
                "the upstream's certificate is not checked: the connection is encrypted, but to anybody";
            let fix = "write proxy-ssl-secret with ca.crt, and proxy-ssl-verify: \"on\"";
            let field = super::field("nginx.ingress.kubernetes.io/backend-protocol");
            annotations.findings.warn(
                annotations.object,
                "upstream-not-verified",
                &field,
                message.to_owned(),
                fix,
            );
        }
        policy.upstream.tls = Some(Arc::new(tls));
        // The Secret is one of the Ingress' own namespace, as the Service is.
        if terms != [""; 5] {
            policy.upstream.tls_terms = terms.join(",");
        }
    }
    policy.upstream.connect_timeout = annotations.time("proxy-connect-timeout");
    policy.upstream.fallback = annotations.text("default-backend").map(str::to_owned);
    // Both bound the silence of one side; ours is one for both.
    let (read, send) = (annotations.time("proxy-read-timeout"), annotations.time("proxy-send-timeout"));
    policy.idle_timeout = read.max(send).or(policy.idle_timeout).filter(|time| !time.is_zero());
    retries(annotations, policy);
    balance(annotations, policy);
}

/// `backend-protocol`; says whether it is TLS.
fn protocol(annotations: &mut Annotations<'_, '_>, policy: &mut Policy) -> bool {
    let Some(written) = annotations.text(PROTOCOL) else { return false };
    let (protocol, encrypted) = match written.to_ascii_uppercase().as_str() {
        "HTTP" => (UpstreamProtocol::Http1, false),
        "HTTPS" => (UpstreamProtocol::Http1, true),
        "GRPC" => (UpstreamProtocol::Http2, false),
        "GRPCS" => (UpstreamProtocol::Http2, true),
        other => {
            let message = format!("'{other}' is not spoken to Services");
            annotations.close_as("not-supported", PROTOCOL, &message, "write HTTP, HTTPS, GRPC or GRPCS");
            return false;
        }
    };
    policy.upstream.protocol = Some(protocol);
    encrypted
}

/// `proxy-ssl-*`.
fn tls(annotations: &mut Annotations<'_, '_>, source: &Source, secrets: &mut Secrets<'_>) -> TlsClient {
    let written = annotations.text("proxy-ssl-secret");
    let name = annotations.text("proxy-ssl-name");
    let verify = is_verified(annotations, name);
    let sends_name = annotations.text("proxy-ssl-server-name") == Some("on");
    let protocols = annotations.text("proxy-ssl-protocols").unwrap_or("TLSv1.2 TLSv1.3");
    if let Some(depth) = annotations.number("proxy-ssl-verify-depth").filter(|depth| *depth != 1) {
        let message = format!("the length of the chain is not bound to {depth}");
        annotations.unapplied("proxy-ssl-verify-depth", message, "remove it");
    }
    if let Some(ciphers) = annotations.text("proxy-ssl-ciphers").filter(|text| *text != "DEFAULT") {
        let message = format!("the suites '{ciphers}' are not set, the TLS stack's own are used");
        annotations.unapplied("proxy-ssl-ciphers", message, "remove it");
    }
    let has = |version: &str| protocols.split_whitespace().any(|one| one == version);
    let mut client = TlsClient {
        server_name: name.filter(|_| sends_name).map(str::to_owned),
        min_version: if has("TLSv1.2") || !has("TLSv1.3") { TlsVersion::V1_2 } else { TlsVersion::V1_3 },
        max_version: if has("TLSv1.3") || !has("TLSv1.2") { TlsVersion::V1_3 } else { TlsVersion::V1_2 },
        ..TlsClient::unverified(source.clone())
    };
    let Some(written) = written else {
        if verify {
            let fix = "name the Secret with ca.crt in proxy-ssl-secret";
            annotations.close(
                "proxy-ssl-verify",
                "certificates are to be checked, and nothing says against which roots",
                fix,
            );
        }
        return client;
    };
    let Some(secret) = secret_name(annotations, "proxy-ssl-secret", written) else { return client };
    // A certificate of our own is there when the Secret has one.
    if secrets.has_entry(&secret, "tls.crt") {
        match secrets.certificate(&secret, annotations.findings) {
            Ok(certificate) => client.certificate = Some(certificate),
            Err(reason) => annotations.close("proxy-ssl-secret", &reason, "repair the Secret"),
        }
    }
    if verify {
        match secrets.roots(&secret, annotations.findings) {
            Ok(roots) => {
                let names = name.map(str::to_owned).into_iter().collect();
                client.verify = Verify::Chain { roots: Roots::Given(roots), names };
            }
            Err(reason) => annotations.close("proxy-ssl-secret", &reason, "put ca.crt into the Secret"),
        }
    }
    client
}

/// `proxy-ssl-verify`. Without a name, every certificate of the roots would do; nginx, which compares with a name of its own
/// then, takes none.
fn is_verified(annotations: &mut Annotations<'_, '_>, name: Option<&str>) -> bool {
    const VERIFY: &str = "proxy-ssl-verify";
    match annotations.text(VERIFY) {
        None | Some("off") => return false,
        Some("on") if name.is_some() => {}
        Some("on") => {
            let message = "certificates are to be checked, and nothing says which name they must have";
            annotations.close(VERIFY, message, "name it in proxy-ssl-name");
        }
        Some(other) => {
            let message = format!("'{other}' does not say whether certificates are checked");
            annotations.close(VERIFY, &message, "write on or off");
        }
    }
    true
}

/// `proxy-next-upstream*`: what is tried at another endpoint.
fn retries(annotations: &mut Annotations<'_, '_>, policy: &mut Policy) {
    let tries = annotations.number("proxy-next-upstream-tries").unwrap_or(3);
    let time = annotations.time("proxy-next-upstream-timeout");
    if time.is_some_and(|time| time > Duration::ZERO) {
        let message = "tries have no time of their own".to_owned();
        annotations.unapplied("proxy-next-upstream-timeout", message, "write proxy-read-timeout");
    }
    let written = annotations.text("proxy-next-upstream").unwrap_or("error timeout");
    let (mut on, mut statuses) = (Vec::new(), Vec::new());
    for word in written.split_whitespace() {
        match word {
            "off" => {
                policy.retry = None;
                return;
            }
            "error" | "timeout" => on.push(RetryOn::ConnectFailure),
            "non_idempotent" => on.push(RetryOn::Reset),
            "invalid_header" => on.push(RetryOn::Reset),
            other => match other.strip_prefix("http_").and_then(|status| status.parse().ok()) {
                Some(status) => statuses.push(status),
                None => annotations.bad(
                    "proxy-next-upstream",
                    format!("'{other}' is not a condition"),
                    "see nginx's proxy_next_upstream",
                ),
            },
        }
    }
    if !statuses.is_empty() {
        on.push(RetryOn::RetriableStatusCodes);
    }
    on.dedup();
    // 0 is without a bound there; 3 is the usual one.
    let retries = if tries == 0 { 2 } else { tries - 1 };
    policy.retry = (retries > 0 && !on.is_empty()).then(|| RetryPolicy {
        on,
        statuses,
        ..RetryPolicy::new(RetryOn::ConnectFailure, retries)
    });
}

/// `load-balance`, `upstream-hash-by`, and cookies that keep a client at one endpoint.
fn balance(annotations: &mut Annotations<'_, '_>, policy: &mut Policy) {
    match annotations.text("load-balance") {
        None => {}
        Some("round_robin") => policy.upstream.balance = Some(Balance::RoundRobin),
        Some("ewma" | "least_conn") => policy.upstream.balance = Some(Balance::LeastRequest),
        Some("ip_hash") => hashed(policy, HashKey::SourceIp),
        Some(other) => {
            let message = format!("'{other}' is not a way to balance");
            annotations.bad("load-balance", message, "write round_robin or ewma");
        }
    }
    if let Some(text) = annotations.text("upstream-hash-by") {
        match hash_key(text) {
            Some(key) => hashed(policy, key),
            None => {
                let message = format!("requests cannot be hashed by '{text}'");
                let fix = "write $remote_addr, $host, $http_NAME, $cookie_NAME or $arg_NAME";
                annotations.bad("upstream-hash-by", message, fix);
            }
        }
    }
    cookie(annotations, policy);
}

fn hashed(policy: &mut Policy, key: HashKey) {
    policy.hash = Some(key);
    policy.upstream.balance = Some(Balance::RingHash);
}

fn hash_key(text: &str) -> Option<HashKey> {
    let name = text.trim_matches('"').strip_prefix('$')?;
    let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    match name {
        "remote_addr" | "binary_remote_addr" | "the_real_ip" => Some(HashKey::SourceIp),
        "host" | "http_host" => Some(HashKey::Header(http::header::HOST)),
        _ => {
            if let Some(header) = name.strip_prefix("http_") {
                return HeaderName::from_bytes(header.replace('_', "-").as_bytes()).ok().map(HashKey::Header);
            }
            if let Some(parameter) = name.strip_prefix("arg_") {
                return Some(HashKey::Query(parameter.to_owned()));
            }
            let name = name.strip_prefix("cookie_")?.to_owned();
            Some(HashKey::Cookie { name, path: None, ttl: None })
        }
    }
}

fn cookie(annotations: &mut Annotations<'_, '_>, policy: &mut Policy) {
    let affinity = annotations.text("affinity");
    let name = annotations.text("session-cookie-name").unwrap_or("INGRESSCOOKIE").to_owned();
    let path = annotations.text("session-cookie-path").unwrap_or("/").to_owned();
    let (age, expires) =
        (annotations.time("session-cookie-max-age"), annotations.time("session-cookie-expires"));
    match affinity {
        None => return,
        Some("cookie") => {}
        Some(other) => {
            annotations.bad("affinity", format!("'{other}' is not a kind of affinity"), "write cookie");
            return;
        }
    }
    // Clients go on with the endpoint that the cookie's value leads to; how it is made is nobody's business.
    for name in ["affinity-mode", "affinity-canary-behavior", "session-cookie-conditional-samesite-none"] {
        annotations.text(name);
    }
    for name in [
        "session-cookie-secure",
        "session-cookie-samesite",
        "session-cookie-domain",
        "session-cookie-change-on-failure",
    ] {
        if annotations.text(name).is_some() {
            annotations.unapplied(name, "the cookie has no such attribute here".to_owned(), "remove it");
        }
    }
    let ttl = age.or(expires).or(Some(Duration::ZERO));
    hashed(policy, HashKey::Cookie { name, path: Some(path), ttl });
}
