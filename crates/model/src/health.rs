//! Which endpoints are used: what health checks and outlier detection say of them.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::policy::HeaderEdits;
use crate::tls::TlsClient;

/// When unhealthy endpoints are used as if they were healthy.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailOpen {
    /// When fewer than half are healthy, so that the few left are not overrun (Envoy's "panic threshold", 50 %).
    #[default]
    BelowHalf,
    /// When none is healthy (Application and Network Load Balancers).
    WhenNone,
    /// Never (Classic Load Balancers): without a healthy one there is none.
    Never,
}

impl FailOpen {
    pub(crate) fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// An active health check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HealthCheck {
    /// Time for one answer. Default 3 s.
    #[serde(with = "crate::duration")]
    pub timeout: Duration,
    /// Time between checks. Default 5 s.
    #[serde(with = "crate::duration")]
    pub interval: Duration,
    /// Passes in a row that make an endpoint healthy. Default 1.
    pub healthy_after: u32,
    /// Failures in a row that make it unhealthy. Default 2.
    pub unhealthy_after: u32,
    /// What is asked.
    pub probe: HealthProbe,
    /// The port to ask on; none = that of the traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// By TLS or not.
    #[serde(skip_serializing_if = "HealthTransport::is_traffic")]
    pub transport: HealthTransport,
}

/// How a health check reaches an endpoint.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthTransport {
    /// As the traffic does.
    #[default]
    Traffic,
    /// In clear text.
    ClearText,
    /// By TLS like this.
    Tls(Arc<TlsClient>),
}

impl HealthCheck {
    /// On the port of the traffic and as the traffic goes; one pass makes healthy, two failures unhealthy.
    pub fn new(timeout: Duration, interval: Duration, probe: HealthProbe) -> Self {
        let (port, transport) = (None, HealthTransport::Traffic);
        Self { timeout, interval, healthy_after: 1, unhealthy_after: 2, probe, port, transport }
    }
}

impl HealthTransport {
    fn is_traffic(&self) -> bool {
        *self == Self::Traffic
    }
}

/// What a health check asks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthProbe {
    /// A GET.
    Http {
        /// Path and query.
        path: String,
        /// Host header; none = the cluster's name.
        host: Option<String>,
        /// Changes to the probe's headers.
        headers: HeaderEdits,
        /// Inclusive ranges of statuses that pass; empty = 200.
        statuses: Vec<(u16, u16)>,
    },
    /// grpc.health.v1 Check.
    Grpc {
        /// Service name asked for.
        service: String,
        /// `:authority`; none = the cluster's name.
        authority: Option<String>,
    },
    /// An empty gRPC call of any method, over HTTP/2.
    GrpcCall {
        /// `/package.Service/Method`.
        path: String,
        /// Inclusive ranges of gRPC statuses that pass.
        statuses: Vec<(u16, u16)>,
    },
    /// A connection that opens.
    Tcp,
}

/// Passive health: what endpoints answer tells which of them to leave out for a while (Envoy's outlier detection).
///
/// Failures in a row are counted for each endpoint over the whole process; one good answer begins anew.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct OutlierDetection {
    /// Statuses of 500 and more in a row; unless `split_local_origin`, failures without an answer count as well. None =
    /// they do not count. Envoy's default is 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_5xx: Option<u32>,
    /// Of these, 502, 503 and 504 in a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_gateway: Option<u32>,
    /// Connections that fail, time-outs and resets in a row; counts with `split_local_origin` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_local_origin: Option<u32>,
    /// Failures that no upstream answered are counted apart from answers.
    pub split_local_origin: bool,
    /// Time between two looks for endpoints to take back. Default 10 s.
    #[serde(with = "crate::duration")]
    pub interval: Duration,
    /// An endpoint is out for this time multiplied by how often it was put out lately, and at most for 300 s (or this, if
    /// longer). Default 30 s.
    #[serde(with = "crate::duration")]
    pub base_ejection: Duration,
    /// No more than this part of the endpoints is out at a time, but one may be in any case unless it is the only one.
    /// Default 10.
    pub max_ejection_percent: u32,
    /// With fewer of the endpoints in use, all are used; 0 = never, then a cluster without any in use refuses. Stands in
    /// place of [`crate::Cluster::fail_open`].
    pub min_health_percent: u32,
}

impl Default for OutlierDetection {
    fn default() -> Self {
        Self {
            consecutive_5xx: Some(5),
            consecutive_gateway: None,
            consecutive_local_origin: Some(5),
            split_local_origin: false,
            interval: Duration::from_secs(10),
            base_ejection: Duration::from_secs(30),
            max_ejection_percent: 10,
            min_health_percent: 0,
        }
    }
}

/// How the share of an endpoint grows during slow start: of the time that is over, the part to the power of 1/`aggression`
/// (Envoy's formula).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct SlowStartCurve {
    /// Never less than this percent of its full share. Default 0 (Envoy: 10).
    pub least_percent: u32,
    /// In thousandths; 1000, the default, grows linearly, more grows faster at first.
    pub aggression: u32,
}

impl SlowStartCurve {
    pub(crate) fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// The share, out of 1000, when so much of the time is over, out of 1000.
    pub fn share(&self, over: u64) -> u64 {
        let grown = if self.aggression == 1000 || over >= 1000 {
            over
        } else {
            let exponent = 1000.0 / f64::from(self.aggression.max(1));
            ((over as f64 / 1000.0).powf(exponent) * 1000.0) as u64
        };
        grown.max(u64::from(self.least_percent) * 10).clamp(1, 1000)
    }
}

impl Default for SlowStartCurve {
    fn default() -> Self {
        Self { least_percent: 0, aggression: 1000 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_grow_along_their_curve() {
        for (least_percent, aggression, expected) in [
            (0, 1000, [1, 250, 500, 1000]),
            (10, 1000, [100, 250, 500, 1000]),
            (60, 1000, [600, 600, 600, 1000]),
            (0, 2000, [1, 500, 707, 1000]),
            (10, 500, [100, 100, 250, 1000]),
            (200, 0, [1000, 1000, 1000, 1000]),
        ] {
            let curve = SlowStartCurve { least_percent, aggression };
            assert_eq!([0, 250, 500, 1000].map(|over| curve.share(over)), expected, "{curve:?}");
        }
    }
}
