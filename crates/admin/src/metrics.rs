//! The numbers of the data plane, seen three ways: with OpenTelemetry's names, with ours, and with those of Envoy and
//! Emissary, which dashboards ask for. Every name is in docs/metrics.md; a test compares.

mod configuration;
mod envoy;
mod process;
mod requests;

use std::sync::Arc;

use plenipo_model::Edge;
use plenipo_proxy::metrics::{BOUNDS, Histogram, Measurements};
use serde_json::{Value, json};

use crate::exposition::{Family, Kind, Label, Page};
use crate::health::Health;
use crate::state::{Published, State};

/// Everything that a page is made from.
struct Facts<'a> {
    state: &'a State,
    health: &'a Health,
    measured: &'a Measurements,
    published: Option<Arc<Published>>,
}

/// The page for one scrape.
pub(crate) fn page(state: &State, health: &Health, measured: &Measurements) -> String {
    let facts = Facts { state, health, measured, published: state.current() };
    let mut page = Page::default();
    requests::write(&mut page, &facts);
    configuration::write(&mut page, &facts);
    envoy::write(&mut page, &facts);
    process::write(&mut page, state.started.1);
    page.into_text()
}

/// Clusters with their endpoints and numbers, for `/clusters`.
pub(crate) fn clusters(edge: &Edge, measured: &Measurements) -> Value {
    let one = |(name, cluster): (&Arc<str>, &Arc<plenipo_model::Cluster>)| {
        let endpoints = measured.endpoints.get(name).cloned().flatten();
        let endpoints = endpoints.map(|all| {
            let shown = all.iter().map(|one| {
                let mut shown = json!({ "address": one.address, "healthy": one.healthy });
                if one.ejected {
                    shown["ejected"] = true.into();
                }
                if one.priority > 0 {
                    shown["priority"] = one.priority.into();
                }
                shown
            });
            shown.collect::<Vec<_>>()
        });
        let numbers = measured.clusters.get(name).map(|numbers| {
            json!({
                "statuses": numbers.statuses,
                "active_requests": numbers.active,
                "connections": numbers.connections,
                "connect_failures": numbers.connect_failures,
                "retries": numbers.retries,
                "timeouts": numbers.timeouts,
                "overflows": numbers.overflows,
                "ejections": numbers.outliers.map(|outliers| outliers.enforced.iter().sum::<u64>()),
            })
        });
        json!({ "cluster": cluster, "endpoints": endpoints, "numbers": numbers })
    };
    Value::Array(edge.clusters.iter().map(one).collect())
}

/// A family with one number for each of `rows`.
fn family<'a, L: AsRef<[Label<'a>]>>(
    page: &mut Page,
    name: &str,
    kind: Kind,
    help: &str,
    rows: impl IntoIterator<Item = (L, u64)>,
) {
    let mut family = page.family(name, kind, help);
    for (labels, value) in rows {
        family.sample(labels.as_ref(), value);
    }
}

/// How a histogram is shown: which of the bounds, and in which unit.
struct Scale {
    /// Microseconds, each of them one of [`BOUNDS`].
    bounds: &'static [u64],
    /// Microseconds of one unit.
    unit: f64,
}

/// Seconds, with the bounds of OpenTelemetry's semantic conventions.
const SECONDS: Scale = Scale {
    bounds: &[
        5_000, 10_000, 25_000, 50_000, 75_000, 100_000, 250_000, 500_000, 750_000, 1_000_000, 2_500_000,
        5_000_000, 7_500_000, 10_000_000,
    ],
    unit: 1e6,
};

/// Milliseconds, with Envoy's bounds.
const MILLISECONDS: Scale = Scale {
    bounds: &[
        500,
        1_000,
        5_000,
        10_000,
        25_000,
        50_000,
        100_000,
        250_000,
        500_000,
        1_000_000,
        2_500_000,
        5_000_000,
        10_000_000,
        30_000_000,
        60_000_000,
        300_000_000,
        600_000_000,
        1_800_000_000,
        3_600_000_000,
    ],
    unit: 1e3,
};

impl Scale {
    /// Writes the sum of some histograms.
    #[allow(clippy::cast_precision_loss, reason = "2^53 microseconds are 285 years")]
    fn write<'h>(
        &self,
        family: &mut Family<'_>,
        labels: &[Label<'_>],
        histograms: impl IntoIterator<Item = &'h Histogram>,
    ) {
        let mut counts = [0; BOUNDS.len() + 1];
        let mut sum = 0_u64;
        for histogram in histograms {
            counts.iter_mut().zip(histogram.buckets).for_each(|(count, more)| *count += more);
            sum = sum.saturating_add(histogram.sum);
        }
        let below = |bound: u64| {
            let up_to = BOUNDS.iter().zip(counts).take_while(|(own, _)| **own <= bound);
            up_to.map(|(_, count)| count).sum::<u64>()
        };
        let buckets = self.bounds.iter().map(|bound| (*bound as f64 / self.unit, below(*bound)));
        family.histogram(labels, buckets, sum as f64 / self.unit, counts.iter().sum());
    }
}

#[cfg(test)]
mod tests;
