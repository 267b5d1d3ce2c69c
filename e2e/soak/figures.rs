//! The gateway's metrics, as far as they tell what is left of its traffic.

use std::fmt;

/// Bytes.
pub(super) const MIB: f64 = 1024.0 * 1024.0;

/// What the admin address says at one moment.
#[derive(Debug, Clone)]
pub(super) struct Figures {
    pub(super) memory: u64,
    pub(super) connections: u64,
    requests: u64,
    /// Towards upstreams.
    upstream_connections: u64,
    upstream_requests: u64,
    pub(super) tasks: u64,
    pub(super) files: u64,
    /// Requests with a status of 5xx, by route.
    pub(super) failed: Vec<(String, u64)>,
}

impl Figures {
    /// Reads the metrics page.
    pub(super) fn of(page: &str) -> Self {
        let family = |name: &str| -> u64 {
            let values = page.lines().filter_map(|line| {
                let rest = line.strip_prefix(name)?;
                let value = rest.starts_with(['{', ' ']).then(|| rest.rsplit(' ').next())??;
                value.parse::<f64>().ok()
            });
            values.sum::<f64>() as u64
        };
        let failed = page.lines().filter_map(|line| {
            let labels = line.strip_prefix("http_server_request_duration_seconds_count{")?;
            let label = |name: &str| labels.split(name).nth(1)?.strip_prefix("=\"")?.split('"').next();
            label("http_response_status_code")?.starts_with('5').then_some(())?;
            Some((label("http_route")?.to_owned(), labels.rsplit(' ').next()?.parse().ok()?))
        });
        Self {
            memory: family("process_resident_memory_bytes"),
            connections: family("plenipo_connections"),
            requests: family("plenipo_requests_active"),
            upstream_connections: family("envoy_cluster_upstream_cx_active"),
            upstream_requests: family("envoy_cluster_upstream_rq_active"),
            tasks: family("plenipo_tasks"),
            files: family("process_open_fds"),
            failed: failed.collect(),
        }
    }

    /// Is nothing under way, and no connection open?
    pub(super) fn is_idle(&self) -> bool {
        [self.connections, self.requests, self.upstream_connections, self.upstream_requests] == [0; 4]
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.1} MiB, {} + {} connections, {} + {} requests, {} tasks, {} files",
            self.memory as f64 / MIB,
            self.connections,
            self.upstream_connections,
            self.requests,
            self.upstream_requests,
            self.tasks,
            self.files
        )
    }
}

/// The one in the middle.
pub(super) fn median(values: impl Iterator<Item = u64>) -> Option<u64> {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}
