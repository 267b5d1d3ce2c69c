//! Instructions that a proxy needs in user space for one request, counted by callgrind: no busy machine changes them.
//!
//! Two loads of different, fixed numbers of requests, each with a proxy of its own; the difference of what they cost, by the
//! difference of their numbers. What a start, and the first requests, cost beyond that does not count.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::Effort;
use crate::load::{Amount, Load};
use crate::material::KeyKind;
use crate::peer::Peer;
use crate::results::{Counted, InstructionsSample};
use crate::rounds::{Competitor, survive};
use crate::setup::{Back, Front, Ground};

/// Requests of the smaller and the larger load.
const FEW: u64 = 640;
const MANY: u64 = 2_640;

/// Counts for each of the rows a, b and c.
///
/// # Errors
/// When ours cannot be counted.
pub(crate) fn measure(effort: &Effort) -> Result<Counted> {
    let encrypted = Front::Https(KeyKind::EcdsaP256);
    // Fewer connections than in the rows themselves: a slow proxy shall not have all of them to open at once.
    let rows = [
        ("a", Front::Http, Load::http(16)),
        ("b", encrypted, Load::http(16)),
        ("c", encrypted, Load::Http2 { connections: 8, streams: 16 }),
    ];
    let mut counted = Counted::default();
    for (row, front, load) in rows {
        for peer in &effort.peers {
            let one = one(*peer, front, load).with_context(|| format!("row {row}"));
            let Some(instructions) = survive(*peer, one, &mut counted.failed)? else { continue };
            println!("  {row} {peer:8} {instructions:9.0} instructions per request");
            counted.samples.push(InstructionsSample {
                row: row.to_owned(),
                peer: peer.to_string(),
                instructions,
            });
        }
    }
    Ok(counted)
}

fn one(peer: Peer, front: Front, load: Load) -> Result<f64> {
    let few = total(peer, front, load, FEW)?;
    let many = total(peer, front, load, MANY)?;
    per_request((FEW, few), (MANY, many)).context("more requests cost less")
}

/// Of two loads, each with its number of requests and what they cost altogether.
pub(crate) fn per_request(few: (u64, u64), many: (u64, u64)) -> Option<f64> {
    let cost = many.1.checked_sub(few.1)?;
    let requests = many.0.checked_sub(few.0).filter(|requests| *requests > 0)?;
    Some(cost as f64 / requests as f64)
}

/// What a proxy costs from its start to its end, with so many requests in between.
fn total(peer: Peer, front: Front, load: Load, requests: u64) -> Result<u64> {
    let ground = Ground::prepare()?;
    let mut setup = ground.setup(peer, front, Back::Clear, 0)?;
    let folder = setup.folder.clone();
    setup.counted = Some(folder.join("callgrind.%p").display().to_string());
    let mut competitor = Competitor::start(peer, setup)?;
    load.make(&competitor.setup.target(), Amount::Requests(requests))?;
    competitor.proxy.stop()?;
    totals_in(&folder)
}

/// What all files that callgrind left in a folder say together: there is one for each process.
///
/// # Errors
/// When there is none.
pub(crate) fn totals_in(folder: &Path) -> Result<u64> {
    let mut total = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("callgrind.") {
            total += totals(&fs::read_to_string(entry.path())?);
        }
    }
    ensure!(total > 0, "callgrind counted nothing");
    Ok(total)
}

fn totals(file: &str) -> u64 {
    let lines = file.lines().filter_map(|line| line.strip_prefix("totals:"));
    lines.filter_map(|count| count.trim().parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::{per_request, totals, totals_in};

    #[test]
    fn the_start_does_not_count() {
        assert_eq!(per_request((100, 51_000), (300, 53_000)), Some(10.0));
        assert_eq!(per_request((100, 51_000), (300, 50_000)), None);
        assert_eq!(per_request((100, 51_000), (100, 52_000)), None);
    }

    #[test]
    fn files_of_all_processes_are_added_up() {
        assert_eq!(totals("events: Ir\nfn=(1)\n16 400\ntotals: 7739609\n"), 7_739_609);
        let folder = tempfile::tempdir().expect("a folder");
        assert!(totals_in(folder.path()).is_err());
        for (name, text) in
            [("callgrind.1", "totals: 5\n"), ("callgrind.2", "totals: 7\n"), ("x", "totals: 9\n")]
        {
            std::fs::write(folder.path().join(name), text).expect("written");
        }
        assert_eq!(totals_in(folder.path()).ok(), Some(12));
    }
}
