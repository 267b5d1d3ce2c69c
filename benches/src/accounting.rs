//! What a process tree has used, from /proc.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Clock ticks a second in /proc; fixed by the kernel's interface (USER_HZ) on every architecture we build for.
const TICKS: u64 = 100;

/// User and system time of this process and all below it.
///
/// # Errors
/// When the process is gone.
pub(crate) fn cpu_time(root: u32) -> Result<Duration> {
    let mut total = Duration::ZERO;
    for process in tree(root)? {
        total += used(&stat(process)?);
    }
    Ok(total)
}

/// User and system time as the fields of a stat file have it.
fn used(fields: &[String]) -> Duration {
    // Fields 14 and 15 of proc(5), counted from behind the command's closing parenthesis.
    let field =
        |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
    Duration::from_millis((field(11) + field(12)) * 1000 / TICKS)
}

/// User and system time of every thread of this process and of all below it, by thread id.
///
/// # Errors
/// When the process is gone.
pub(crate) fn thread_times(root: u32) -> Result<BTreeMap<u32, Duration>> {
    let mut times = BTreeMap::new();
    for process in tree(root)? {
        for entry in fs::read_dir(format!("/proc/{process}/task"))?.flatten() {
            let thread = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
            // One that ended in between has done nothing that is of interest.
            let fields = fields(&format!("/proc/{process}/task/{}/stat", entry.file_name().display()));
            if let (Some(thread), Ok(fields)) = (thread, fields) {
                times.insert(thread, used(&fields));
            }
        }
    }
    Ok(times)
}

/// Proportional set size of this process and all below it, in KiB.
///
/// # Errors
/// When the process is gone.
pub(crate) fn memory(root: u32) -> Result<u64> {
    let mut kibibytes = 0;
    for process in tree(root)? {
        let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss line")?;
        kibibytes += line.trim().trim_end_matches(" kB").parse::<u64>()?;
    }
    Ok(kibibytes)
}

/// What all processes of the machine together have used: user and system time.
///
/// # Errors
/// When /proc is not there.
pub(crate) fn machine_time() -> Result<Duration> {
    let text = fs::read_to_string("/proc/stat")?;
    // The first line is of all cores: user, nice, system, idle, iowait, irq, softirq.
    let fields = text.lines().next().context("unexpected /proc/stat")?.split_whitespace().skip(1);
    let ticks = fields.enumerate().filter(|(index, _)| matches!(index, 0..=2 | 5 | 6));
    let ticks = ticks.map(|(_, field)| field.parse::<u64>()).sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS))
}

fn tree(root: u32) -> Result<Vec<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // A process that ended in between has no parent to count for.
        let Ok(fields) = stat(process) else { continue };
        parents
            .extend(fields.get(1).and_then(|text| text.parse::<u32>().ok()).map(|parent| (process, parent)));
    }
    let mut tree = vec![root];
    let mut next = 0;
    while let Some(&process) = tree.get(next) {
        tree.extend(parents.iter().filter(|(_, parent)| *parent == process).map(|(child, _)| *child));
        next += 1;
    }
    Ok(tree)
}

fn stat(process: u32) -> Result<Vec<String>> {
    fields(&format!("/proc/{process}/stat"))
}

/// Fields of such a file from the state on: the command before it may contain spaces.
fn fields(file: &str) -> Result<Vec<String>> {
    let text = fs::read_to_string(file).context("the process has ended")?;
    let (_, fields) = text.rsplit_once(')').with_context(|| format!("unexpected {file}"))?;
    Ok(fields.split_whitespace().map(str::to_owned).collect())
}
