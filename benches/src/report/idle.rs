//! The table of idle connections.

use super::{NOTHING, names};
use crate::peer::Peer;
use crate::results::IdleSample;

/// Ours and the others', by kind of connection.
pub(super) fn idle(samples: &[IdleSample]) -> String {
    let line = |title: &str, cell: &dyn Fn(&IdleSample) -> Option<String>| {
        let cells = Peer::ALL.map(|peer| {
            let found = samples.iter().filter(|sample| sample.peer == peer.to_string()).find_map(cell);
            found.unwrap_or_else(|| NOTHING.into())
        });
        format!("| {title} | {} |\n", cells.join(" | "))
    };
    let each =
        |tls: bool| move |sample: &IdleSample| (sample.tls == tls).then(|| format!("{:.1}", sample.each));
    let base = |sample: &IdleSample| (!sample.tls).then(|| format!("{:.0}", sample.base as f64 / 1024.0));
    let head = format!("| | {} |\n|---|---|---|---|---|\n", names(&Peer::ALL));
    head + &line("KiB per clear connection", &each(false))
        + &line("KiB per TLS connection", &each(true))
        + &line("MiB before", &base)
}
