//! `circuit_breakers`.

use plenipo_model::{LimitSet, Limits};
use plenipo_resources::ambassador::CircuitBreaker;
use serde::Deserialize;
use serde_json::Value;

use crate::findings::Flaw;

/// Circuit breakers per priority.
///
/// # Errors
/// When it is no list of breakers, or one has an unknown priority or a negative number.
pub(crate) fn limits(written: &Value, field: &str) -> Result<Limits, Flaw> {
    const FIX: &str = "write a list of {priority: default|high, max_connections, max_pending_requests, max_requests, max_retries}";
    let bad = |message: String| Flaw::new("bad-circuit-breakers", field, message, FIX);
    let breakers = Vec::<CircuitBreaker>::deserialize(written).map_err(|error| bad(error.to_string()))?;
    let mut limits = Limits::default();
    for breaker in &breakers {
        let set = match breaker.priority.as_deref().unwrap_or("default") {
            text if text.eq_ignore_ascii_case("default") => &mut limits.default,
            text if text.eq_ignore_ascii_case("high") => &mut limits.high,
            other => return Err(bad(format!("'{other}' is not a priority"))),
        };
        let number = |value: Option<i64>, otherwise: u32| match value {
            None => Ok(otherwise),
            Some(value) => u32::try_from(value).map_err(|_| bad(format!("{value} is not a limit"))),
        };
        *set = LimitSet {
            connections: number(breaker.max_connections, set.connections)?,
            pending: number(breaker.max_pending_requests, set.pending)?,
            requests: number(breaker.max_requests, set.requests)?,
            retries: number(breaker.max_retries, set.retries)?,
        };
    }
    Ok(limits)
}
