//! What the choice of an endpoint needs to know of its cluster.

use std::time::Duration;

use plenipo_model::{Cluster, FailOpen, SlowStartCurve};

use super::{EndpointState, WARM};

/// Of a cluster's settings, those that the choice of an endpoint needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Selection {
    /// When unhealthy ones are used, too.
    pub(crate) panic: Panic,
    /// Time in which one that is new comes to its full share.
    pub(crate) slow_start: Option<Duration>,
    /// How its share grows until then.
    pub(crate) curve: SlowStartCurve,
    /// Points of the ring, slots of the Maglev table; none = the usual number.
    pub(crate) hash_size: Option<u32>,
}

/// When health is no longer believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Panic {
    /// When fewer than this many percent are healthy.
    Below(u32),
    /// When none is.
    WhenNone,
}

impl Selection {
    pub(crate) fn of(cluster: &Cluster) -> Self {
        let panic = match (&cluster.outlier, cluster.fail_open) {
            (Some(outlier), _) => Panic::Below(outlier.min_health_percent),
            (None, FailOpen::BelowHalf) => Panic::Below(50),
            (None, FailOpen::WhenNone) => Panic::WhenNone,
            (None, FailOpen::Never) => Panic::Below(0),
        };
        let Cluster { slow_start, slow_start_curve: curve, hash_size, .. } = *cluster;
        Self { panic, slow_start, curve, hash_size }
    }

    /// How much of its share an endpoint gets, of [`WARM`].
    pub(crate) fn warmth(&self, endpoint: &EndpointState) -> u64 {
        self.slow_start.map_or(WARM, |time| self.curve.share(endpoint.warmth(time)))
    }
}
