//! `health_checks`.

use std::time::Duration;

use plenipo_model::{HeaderEdits, HealthCheck, HealthProbe, HealthTransport};
use plenipo_resources::ambassador::{HealthCheck as Written, HttpHealthCheck};

use super::{additions, duration, removals};
use crate::findings::Flaw;

/// Active health checks. One that cannot be made is a flaw, the others hold.
pub(crate) fn health_checks(written: &[Written], field: &str, flaws: &mut Vec<Flaw>) -> Vec<HealthCheck> {
    let mut checks = Vec::new();
    for (index, check) in written.iter().enumerate() {
        let field = format!("{field}[{index}]");
        let probe = match check.health_check.as_ref().map(|kind| (&kind.http, &kind.grpc)) {
            Some((Some(http), None)) => http_probe(http, &field, flaws),
            Some((None, Some(grpc))) => HealthProbe::Grpc {
                service: grpc.upstream_name.clone().unwrap_or_default(),
                authority: grpc.authority.clone(),
            },
            _ => {
                let message = "exactly one of http and grpc is needed";
                flaws.push(Flaw::new(
                    "bad-health-check",
                    format!("{field}.health_check"),
                    message,
                    "name one of the two",
                ));
                continue;
            }
        };
        checks.push(HealthCheck {
            timeout: time(check.timeout.as_deref(), 3, &format!("{field}.timeout"), flaws),
            interval: time(check.interval.as_deref(), 5, &format!("{field}.interval"), flaws),
            healthy_after: threshold(
                check.healthy_threshold,
                1,
                &format!("{field}.healthy_threshold"),
                flaws,
            ),
            unhealthy_after: threshold(
                check.unhealthy_threshold,
                2,
                &format!("{field}.unhealthy_threshold"),
                flaws,
            ),
            probe,
            port: None,
            transport: HealthTransport::Traffic,
        });
    }
    checks
}

fn http_probe(http: &HttpHealthCheck, field: &str, flaws: &mut Vec<Flaw>) -> HealthProbe {
    let field = format!("{field}.health_check.http");
    let mut statuses = Vec::new();
    for range in http.expected_statuses.iter().flatten() {
        let ends =
            (range.min.and_then(|n| u16::try_from(n).ok()), range.max.and_then(|n| u16::try_from(n).ok()));
        match ends {
            (Some(min), Some(max)) if (100..600).contains(&min) && min <= max => statuses.push((min, max)),
            _ => {
                let end = |status: Option<i64>| {
                    status.map_or_else(|| "nothing".to_owned(), |status| status.to_string())
                };
                let message = format!("{} to {} is not a range of statuses", end(range.min), end(range.max));
                let field = format!("{field}.expected_statuses");
                flaws.push(Flaw::new("bad-health-check", field, message, "write min and max, 100 to 599"));
            }
        }
    }
    let added = http.add_request_headers.as_ref();
    let removed = http.remove_request_headers.as_deref();
    HealthProbe::Http {
        path: http.path.clone().unwrap_or_else(|| "/".to_owned()),
        host: http.hostname.clone(),
        headers: HeaderEdits {
            add: added
                .map(|map| additions(map, &format!("{field}.add_request_headers"), flaws))
                .unwrap_or_default(),
            remove: removed
                .map(|list| removals(list, &format!("{field}.remove_request_headers"), flaws))
                .unwrap_or_default(),
        },
        statuses,
    }
}

fn time(written: Option<&str>, otherwise: u64, field: &str, flaws: &mut Vec<Flaw>) -> Duration {
    let otherwise = Duration::from_secs(otherwise);
    let Some(text) = written else { return otherwise };
    duration(text).filter(|time| !time.is_zero()).unwrap_or_else(|| {
        flaws.push(Flaw::new(
            "bad-health-check",
            field,
            format!("'{text}' is not a time"),
            "write a duration, as in 5s",
        ));
        otherwise
    })
}

fn threshold(written: Option<i64>, otherwise: u32, field: &str, flaws: &mut Vec<Flaw>) -> u32 {
    let Some(number) = written else { return otherwise };
    u32::try_from(number).ok().filter(|number| *number > 0).unwrap_or_else(|| {
        flaws.push(Flaw::new(
            "bad-health-check",
            field,
            format!("{number} is not a number of checks"),
            "write 1 or more",
        ));
        otherwise
    })
}
