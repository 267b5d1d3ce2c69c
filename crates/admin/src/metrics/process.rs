//! The process, as Prometheus clients name it. From `/proc`, so only where there is one.

use std::fs;
use std::time::SystemTime;

use crate::exposition::{Kind, Page};

/// Clock ticks of `/proc/self/stat` in a second: fixed at 100 for user space on Linux (proc_pid_stat(5), USER_HZ).
const TICKS: f64 = 100.0;

pub(super) fn write(page: &mut Page, started: SystemTime) {
    let start = started.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    page.family(
        "process_start_time_seconds",
        Kind::Gauge,
        "When the process started, in seconds since 1970.",
    )
    .sample(&[], start);
    if let Some(seconds) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu_seconds) {
        page.family("process_cpu_seconds_total", Kind::Counter, "Processor time used.").sample(&[], seconds);
    }
    if let Some(bytes) = fs::read_to_string("/proc/self/status").ok().as_deref().and_then(resident_bytes) {
        page.family("process_resident_memory_bytes", Kind::Gauge, "Memory in use.").sample(&[], bytes);
        page.family("envoy_server_memory_allocated", Kind::Gauge, "Memory in use.").sample(&[], bytes);
    }
    if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
        // One of them is the directory being read.
        let open = descriptors.count().saturating_sub(1);
        page.family("process_open_fds", Kind::Gauge, "Open file descriptors.").sample(&[], open);
    }
}

/// Fields 14 and 15; the second field is a name in parentheses, which may hold anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let user: f64 = fields.get(11)?.parse().ok()?;
    let system: f64 = fields.get(12)?.parse().ok()?;
    Some((user + system) / TICKS)
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 4 0 1 1 1";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t  1234 kB\n"), Some(1234 * 1024));
        assert_eq!(cpu_seconds("nonsense"), None);
    }
}
