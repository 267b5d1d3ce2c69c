//! What Plenipo shall reach: ratios to the others, and numbers of its own.

use crate::peer::Peer;
use crate::scenario::Scenario;

/// Most that our CPU time per request shall be by that of another.
pub(crate) fn ratio_target(scenario: Scenario, peer: Peer) -> Option<f64> {
    let [envoy, haproxy, nginx] = match scenario {
        Scenario::A => [0.40, 0.80, 0.88],
        Scenario::B => [0.45, 0.78, 0.78],
        Scenario::C => [0.38, 0.85, 0.58],
        Scenario::C1 => [0.50, 0.87, 0.85],
        Scenario::DEc | Scenario::DResumed => [0.72, 0.42, 0.45],
        Scenario::DRsa => [0.56, 0.67, 0.68],
        Scenario::ESmall => [0.72, 0.94, 0.98],
        Scenario::EBig => [0.85, 0.50, 0.52],
        Scenario::FSmall => [0.80, 0.86, 0.92],
        Scenario::FBig => [0.95, 0.66, 0.68],
        Scenario::G => [0.48, 0.85, 0.90],
        Scenario::K => [0.80, 0.65, 0.50],
        _ => return None,
    };
    of(peer, [envoy, haproxy, nginx])
}

/// The same of instructions in user space, in row a.
pub(crate) fn instructions_target(peer: Peer) -> Option<f64> {
    of(peer, [0.05, 0.25, 0.40])
}

/// The same of the median latency, and of the 99th percentile, at a steady rate.
pub(crate) fn latency_targets(peer: Peer) -> Option<(f64, f64)> {
    of(peer, [0.40, 0.82, 0.90]).zip(of(peer, [0.40, 0.70, 1.0]))
}

/// KiB of an idle connection, in clear text and with TLS.
pub(crate) const IDLE: [f64; 2] = [1.5, 10.0];

/// Instructions of one look-up of a route, with any number of them.
pub(crate) const LOOKUP: f64 = 1_000.0;

/// Milliseconds (median) until a change serves, among so many routes.
pub(crate) const CHANGES: [(usize, f64); 2] = [(10_000, 10.0), (100_000, 100.0)];

/// What a request may cost with 10,000 routes by what it costs with one.
pub(crate) const MANY_ROUTES: f64 = 1.03;

fn of(peer: Peer, [envoy, haproxy, nginx]: [f64; 3]) -> Option<f64> {
    match peer {
        Peer::Envoy => Some(envoy),
        Peer::Haproxy => Some(haproxy),
        Peer::Nginx => Some(nginx),
        Peer::Plenipo | Peer::PlenipoEdge => None,
    }
}
