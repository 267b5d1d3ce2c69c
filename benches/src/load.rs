//! Who makes the load, and what came of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::generator::Outcome;

/// Load for one scenario.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Load {
    /// wrk.
    Http1 {
        /// Kept connections.
        connections: usize,
        /// Path to ask for.
        path: &'static str,
    },
    /// h2load.
    Http2 {
        /// Connections.
        connections: usize,
        /// Streams on each.
        streams: usize,
    },
    /// A new connection per request, 16 at a time.
    Connect {
        /// With resumed sessions.
        resume: bool,
    },
    /// The responder's relay protocol on 16 connections.
    Relay {
        /// Length of answers.
        answer: u64,
    },
    /// A steady rate on 32 connections.
    Paced {
        /// Requests a second.
        rate: u32,
    },
}

impl Load {
    /// wrk on so many connections.
    pub(crate) fn http(connections: usize) -> Self {
        Self::Http1 { connections, path: "/" }
    }

    /// Makes the load for so many seconds.
    ///
    /// # Errors
    /// When a request failed: a proxy that refuses work is cheap.
    pub(crate) fn run(self, target: SocketAddr, tls: bool, seconds: u64) -> Result<Outcome> {
        let scheme = if tls { "https" } else { "http" };
        let duration = format!("{seconds}s");
        let outcome = match self {
            Self::Http1 { connections, path } => {
                let url = format!("{scheme}://{target}{path}");
                wrk(&["--connections", &connections.to_string(), "--duration", &duration, &url])?
            }
            Self::Http2 { connections, streams } => {
                let url = format!("{scheme}://{target}/");
                let (connections, streams) = (connections.to_string(), streams.to_string());
                h2load(&["--duration", &duration, "--clients", &connections, "-m", &streams, &url])?
            }
            Self::Connect { resume } => {
                let kind: &[&str] = if resume { &["connect", "--resume"] } else { &["connect"] };
                let outcome = generator(target, tls, seconds, kind)?;
                // The first connections have nothing to resume.
                let expected = if resume { outcome.completed * 9 / 10 } else { 0 };
                ensure!(
                    outcome.resumed >= expected,
                    "resumed {} of {} only",
                    outcome.resumed,
                    outcome.completed
                );
                outcome
            }
            Self::Relay { answer } => {
                generator(target, tls, seconds, &["relay", "--answer", &answer.to_string()])?
            }
            Self::Paced { rate } => generator(
                target,
                tls,
                seconds,
                &["pace", "--connections", "32", "--rate", &rate.to_string()],
            )?,
        };
        ensure!(outcome.completed > 0, "no request was answered");
        ensure!(
            outcome.failed == 0,
            "{} of {} requests failed",
            outcome.failed,
            outcome.failed + outcome.completed
        );
        Ok(outcome)
    }
}

/// Runs wrk with these arguments; also used with other hosts and paths.
///
/// # Errors
/// When wrk fails or prints what we do not know.
pub(crate) fn wrk(arguments: &[&str]) -> Result<Outcome> {
    let text = output(on_load_core("wrk").args(["--threads", "1"]).args(arguments))?;
    let completed = number_before(&text, " requests in").with_context(|| format!("wrk said: {text}"))?;
    let refused = text.lines().find_map(|line| line.trim().strip_prefix("Non-2xx or 3xx responses: "));
    let mut failed = refused.map_or(Ok(0), |count| count.trim().parse::<u64>())?;
    if let Some(errors) = text.lines().find_map(|line| line.trim().strip_prefix("Socket errors: ")) {
        let counts = errors.split(", ").filter_map(|part| part.rsplit(' ').next());
        failed += counts.filter_map(|count| count.parse::<u64>().ok()).sum::<u64>();
    }
    Ok(Outcome { completed, failed, ..Outcome::default() })
}

fn h2load(arguments: &[&str]) -> Result<Outcome> {
    let text = output(on_load_core("h2load").args(["--threads", "1"]).args(arguments))?;
    ensure!(text.contains("Application protocol: h2"), "no HTTP/2 was spoken: {text}");
    let count = |what: &str| number_before(&text, what).with_context(|| format!("h2load said: {text}"));
    Ok(Outcome {
        completed: count(" succeeded")?,
        failed: count(" failed")? + count(" errored")? + count(" timeout")?,
        ..Outcome::default()
    })
}

fn generator(target: SocketAddr, tls: bool, seconds: u64, arguments: &[&str]) -> Result<Outcome> {
    let mut command = ourselves(1)?;
    command.arg("load").args(arguments).args(["--target", &target.to_string()]);
    command.args(["--seconds", &seconds.to_string()]);
    if tls {
        command.arg("--tls");
    }
    Ok(serde_json::from_str(output(&mut command)?.trim())?)
}

/// This program on a core.
///
/// # Errors
/// When the operating system does not say where it is.
pub(crate) fn ourselves(core: usize) -> Result<Command> {
    let program: PathBuf = std::env::current_exe()?;
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &core.to_string()]).arg(program);
    Ok(command)
}

fn on_load_core(program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", "1", program]);
    command
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().context("cannot start taskset")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("{command:?}: {}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(text)
}

/// The whole number in front of the first occurrence of this text.
fn number_before(text: &str, what: &str) -> Option<u64> {
    let (before, _) = text.split_once(what)?;
    before.rsplit(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::number_before;

    #[test]
    fn finds_counts_in_what_load_generators_print() {
        let line = "requests: 10 total, 10 started, 9 done, 8 succeeded, 1 failed, 0 errored, 0 timeout";
        assert_eq!(number_before(line, " succeeded"), Some(8));
        assert_eq!(number_before("  71234 requests in 5.01s, 9MB read", " requests in"), Some(71_234));
        assert_eq!(number_before("nothing", " requests in"), None);
    }
}
