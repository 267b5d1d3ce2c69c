//! The table of instructions per request.

use super::{NOTHING, failures, heads_of, others};
use crate::peer::Peer;
use crate::results::Counted;

/// Row by row, with what ours needs of each of the others'.
pub(super) fn instructions(counted: &Counted) -> String {
    let mut rows = counted.samples.iter().map(|sample| sample.row.as_str()).collect::<Vec<_>>();
    rows.dedup();
    let mut text = heads_of("row", &[]);
    for row in rows {
        let of = |peer: Peer| {
            let mut samples = counted.samples.iter();
            let found = samples.find(|sample| sample.row == row && sample.peer == peer.to_string());
            found.map(|sample| sample.instructions)
        };
        let cells =
            Peer::ALL.map(|peer| of(peer).map_or_else(|| NOTHING.into(), |count| format!("{count:.0}")));
        let ratios = others().map(|peer| {
            let ratio = of(Peer::Plenipo).zip(of(peer)).map(|(ours, theirs)| ours / theirs);
            ratio.map_or_else(|| NOTHING.into(), |ratio| format!("{ratio:.2}"))
        });
        text += &format!("| {row} | {} | {} |\n", cells.join(" | "), ratios.join(" | "));
    }
    text + &failures("instructions", &counted.failed)
}
