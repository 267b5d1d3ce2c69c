//! How an endpoint is chosen: `loadBalancer`.

use std::time::Duration;

use http::HeaderName;
use plenipo_model::{Balance, HashKey};
use plenipo_resources::istio::{ConsistentHash, HttpCookie, LoadBalancer};

use super::destination_rule::Part;
use crate::duration::duration;
use crate::findings::Findings;

/// What a load balancer comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Chosen {
    pub(super) balance: Balance,
    pub(super) hash_size: Option<u32>,
    pub(super) hash: Option<HashKey>,
    pub(super) slow_start: Option<Duration>,
}

impl Default for Chosen {
    fn default() -> Self {
        Self { balance: Balance::LeastRequest, hash_size: None, hash: None, slow_start: None }
    }
}

/// Reads it; what makes no sense is told, and the usual stands in its place.
pub(super) fn choose(part: &Part<'_, LoadBalancer>, findings: &mut Findings) -> Chosen {
    let mut chosen = Chosen { slow_start: slow_start(part, findings), ..Chosen::default() };
    if let Some(hash) = &part.spec.consistent_hash {
        let Some(key) = key(part, hash, findings) else { return chosen };
        chosen.hash = Some(key);
        (chosen.balance, chosen.hash_size) = table(part, hash, findings);
        return chosen;
    }
    chosen.balance = match part.spec.simple.as_deref().unwrap_or("UNSPECIFIED") {
        "UNSPECIFIED" | "LEAST_REQUEST" | "LEAST_CONN" => Balance::LeastRequest,
        "ROUND_ROBIN" => Balance::RoundRobin,
        "RANDOM" => Balance::Random,
        "PASSTHROUGH" => {
            let message = "connections to a gateway are not meant for an endpoint that could be passed on: the endpoint \
                           with the fewest requests is used";
            let fix = "remove it, or write LEAST_REQUEST";
            findings.warn(part.object, "not-supported", &part.field("simple"), message.to_owned(), fix);
            Balance::LeastRequest
        }
        other => {
            let message = format!("'{other}' is not known, LEAST_REQUEST is done");
            let fix = "write LEAST_REQUEST, ROUND_ROBIN or RANDOM";
            findings.error(part.object, "bad-load-balancer", &part.field("simple"), message, fix);
            Balance::LeastRequest
        }
    };
    chosen
}

fn slow_start(part: &Part<'_, LoadBalancer>, findings: &mut Findings) -> Option<Duration> {
    let (name, text) = match (&part.spec.warmup, &part.spec.warmup_duration_secs) {
        (Some(warmup), _) => ("warmup.duration", warmup.duration.as_deref()?),
        (None, Some(text)) => ("warmupDurationSecs", text.as_str()),
        (None, None) => return None,
    };
    let time = duration(text).filter(|time| !time.is_zero());
    if time.is_none() {
        let message = format!("'{text}' is not a time, endpoints get their full share at once");
        findings.error(part.object, "bad-duration", &part.field(name), message, "write 60s");
    }
    let aggression = part.spec.warmup.as_ref().and_then(|warmup| warmup.aggression);
    if aggression.is_some_and(|aggression| aggression != 1.0) {
        let message = "the share of new endpoints rises linearly, whatever is written".to_owned();
        findings.warn(part.object, "not-supported", &part.field("warmup.aggression"), message, "remove it");
    }
    time
}

fn key(part: &Part<'_, LoadBalancer>, hash: &ConsistentHash, findings: &mut Findings) -> Option<HashKey> {
    let field = part.field("consistentHash");
    let named = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    if let Some(name) = named(&hash.http_header_name) {
        if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
            return Some(HashKey::Header(name));
        }
        let message = format!("'{name}' is not the name of a header, requests are not hashed");
        findings.error(
            part.object,
            "bad-header",
            &format!("{field}.httpHeaderName"),
            message,
            "write a header's name",
        );
        return None;
    }
    if let Some(cookie) = &hash.http_cookie {
        return self::cookie(part, cookie, findings);
    }
    if hash.use_source_ip == Some(true) {
        return Some(HashKey::SourceIp);
    }
    if let Some(name) = named(&hash.http_query_parameter_name) {
        return Some(HashKey::Query(name));
    }
    let message = "it does not say what requests are hashed by, they are not hashed".to_owned();
    let fix = "write httpHeaderName, httpCookie, useSourceIp or httpQueryParameterName";
    findings.error(part.object, "no-hash-key", &field, message, fix);
    None
}

fn cookie(part: &Part<'_, LoadBalancer>, cookie: &HttpCookie, findings: &mut Findings) -> Option<HashKey> {
    let field = part.field("consistentHash.httpCookie");
    if cookie.name.is_empty() {
        let message = "the cookie has no name, requests are not hashed".to_owned();
        findings.error(part.object, "no-hash-key", &format!("{field}.name"), message, "write a name");
        return None;
    }
    if !cookie.attributes.is_empty() {
        let message =
            "the cookie that the gateway sets has no attributes but its path and its time to live".to_owned();
        findings.warn(part.object, "not-supported", &format!("{field}.attributes"), message, "remove them");
    }
    let ttl = cookie.ttl.as_deref().and_then(|text| {
        let time = duration(text);
        if time.is_none() {
            let message = format!("'{text}' is not a time, the gateway does not set the cookie");
            findings.error(
                part.object,
                "bad-duration",
                &format!("{field}.ttl"),
                message,
                "write 3600s, or 0s",
            );
        }
        time
    });
    let path = cookie.path.clone().filter(|path| !path.is_empty());
    Some(HashKey::Cookie { name: cookie.name.clone(), path, ttl })
}

/// Maglev's table is a prime of at most 5,000,011 slots (Envoy).
const LARGEST_TABLE: i64 = 5_000_011;
/// Envoy's largest ring.
const LARGEST_RING: i64 = 8_388_608;

fn table(
    part: &Part<'_, LoadBalancer>,
    hash: &ConsistentHash,
    findings: &mut Findings,
) -> (Balance, Option<u32>) {
    let field = part.field("consistentHash");
    if let Some(maglev) = &hash.maglev {
        let size = maglev.table_size.filter(|size| *size != 0);
        let usable = size.filter(|size| (2..=LARGEST_TABLE).contains(size) && is_prime(*size));
        if let (Some(size), None) = (size, usable) {
            let message = format!("{size} is not a prime below {LARGEST_TABLE}, 65537 is used");
            findings.error(
                part.object,
                "bad-number",
                &format!("{field}.maglev.tableSize"),
                message,
                "write a prime",
            );
        }
        return (Balance::Maglev, usable.and_then(|size| u32::try_from(size).ok()));
    }
    let written = hash.ring_hash.as_ref().and_then(|ring| ring.minimum_ring_size);
    let size = written.or(hash.minimum_ring_size).filter(|size| *size != 0);
    let usable = size.filter(|size| (1..=LARGEST_RING).contains(size));
    if let (Some(size), None) = (size, usable) {
        let message = format!("{size} is not the size of a ring, 1024 is used");
        let fix = "write a number from 1 to 8388608";
        findings.error(part.object, "bad-number", &format!("{field}.ringHash.minimumRingSize"), message, fix);
    }
    (Balance::RingHash, usable.and_then(|size| u32::try_from(size).ok()))
}

fn is_prime(number: i64) -> bool {
    number >= 2
        && (2..).take_while(|divisor| divisor * divisor <= number).all(|divisor| number % divisor != 0)
}

#[cfg(test)]
mod tests {
    use super::is_prime;

    #[test]
    fn primes() {
        assert!(is_prime(2) && is_prime(65_537) && is_prime(5_000_011));
        assert!(!is_prime(0) && !is_prime(1) && !is_prime(65_536) && !is_prime(9));
    }
}
