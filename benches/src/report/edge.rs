//! The table of the gateway behind a load balancer of its own.

use std::fmt::Write;

use super::NOTHING;
use crate::peer::Peer;
use crate::results::LoadSamples;
use crate::summary::Summary;

/// Ours alone, and behind a load balancer in the same process.
pub(super) fn edge(load: &LoadSamples) -> String {
    let of = |peer: Peer| {
        load.samples.get(&peer.to_string()).into_iter().flatten().map(|sample| sample.microseconds)
    };
    let ratios = of(Peer::Plenipo).zip(of(Peer::PlenipoEdge)).map(|(alone, both)| alone / both);
    let ratio = Summary::of(ratios).map_or_else(|| NOTHING.into(), |summary| summary.to_string());
    let mut text =
        String::from("| | CPU us per request | requests per CPU second, of the gateway's |\n|---|---|---|\n");
    for (peer, share) in [(Peer::Plenipo, "1".to_owned()), (Peer::PlenipoEdge, ratio)] {
        let cost =
            Summary::of(of(peer)).map_or_else(|| NOTHING.into(), |summary| format!("{:.1}", summary.median));
        let _ = writeln!(text, "| {peer} | {cost} | {share} |");
    }
    text
}
