//! `load_balancer`.

use std::time::Duration;

use http::HeaderName;
use plenipo_model::{Balance, HashKey};
use plenipo_resources::ambassador::{LoadBalancer, LoadBalancerCookie};

use super::duration;
use crate::findings::Flaw;

/// How an endpoint is chosen, and by what part of the request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Balancing {
    pub(crate) balance: Balance,
    pub(crate) hash: Option<HashKey>,
}

/// Load balancing.
///
/// # Errors
/// When the policy is missing or unknown, or does not go with the keys beside it.
pub(crate) fn balancing(written: &LoadBalancer, field: &str) -> Result<Balancing, Flaw> {
    let bad = |name: &str, message: String, fix| {
        Flaw::new("bad-load-balancer", format!("{field}{name}"), message, fix)
    };
    let balance = match written.policy.as_deref() {
        Some("round_robin") => Balance::RoundRobin,
        Some("least_request") => Balance::LeastRequest,
        Some("ring_hash") => Balance::RingHash,
        Some("maglev") => Balance::Maglev,
        other => {
            let message = format!("'{}' is not a load balancing policy", other.unwrap_or_default());
            return Err(bad(".policy", message, "write round_robin, least_request, ring_hash or maglev"));
        }
    };
    let mut keys = Vec::new();
    if let Some(cookie) = &written.cookie {
        keys.push(cookie_key(cookie, field)?);
    }
    if let Some(header) = &written.header {
        let name = HeaderName::from_bytes(header.as_bytes()).map_err(|_| {
            bad(".header", format!("{header:?} is not a header name"), "write the name of a header")
        })?;
        keys.push(HashKey::Header(name));
    }
    if written.source_ip == Some(true) {
        keys.push(HashKey::SourceIp);
    }
    let hashes = matches!(balance, Balance::RingHash | Balance::Maglev);
    match (hashes, keys.len()) {
        (true, 1) | (false, 0) => Ok(Balancing { balance, hash: keys.pop() }),
        (true, _) => Err(bad(
            "",
            "exactly one of cookie, header and source_ip is needed".to_owned(),
            "name one of the three",
        )),
        (false, _) => {
            let message = "cookie, header and source_ip go with ring_hash and maglev only".to_owned();
            Err(bad("", message, "use ring_hash or maglev, or remove the key"))
        }
    }
}

fn cookie_key(cookie: &LoadBalancerCookie, field: &str) -> Result<HashKey, Flaw> {
    let bad = |name: &str, message: String, fix| {
        Err(Flaw::new("bad-load-balancer", format!("{field}.cookie.{name}"), message, fix))
    };
    let name = match cookie.name.as_deref() {
        Some(name) if HeaderName::from_bytes(name.as_bytes()).is_ok() => name.to_owned(),
        _ => return bad("name", "a cookie needs a name".to_owned(), "write the cookie's name"),
    };
    // Emissary's examples write seconds with and without their unit.
    let ttl = match cookie.ttl.as_deref() {
        None => None,
        Some(text) => match duration(text).or_else(|| text.parse().ok().map(Duration::from_secs)) {
            Some(ttl) => Some(ttl),
            None => return bad("ttl", format!("'{text}' is not a duration"), "write seconds, as in 60s"),
        },
    };
    Ok(HashKey::Cookie { name, path: cookie.path.clone(), ttl })
}
