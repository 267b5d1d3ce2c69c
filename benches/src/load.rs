//! Who makes the load, and what came of it.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::generator::Outcome;
use crate::setup::Target;

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
    /// A new connection per request.
    Connect {
        /// So many at a time.
        connections: usize,
        /// With resumed sessions.
        resume: bool,
    },
    /// The responder's relay protocol on 16 connections.
    Relay {
        /// Length of answers.
        answer: u64,
    },
    /// A steady rate.
    Paced {
        /// Connections that take turns.
        connections: usize,
        /// Requests a second.
        rate: u32,
    },
}

/// How much of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Amount {
    /// As many requests as come to pass in so many seconds.
    Seconds(u64),
    /// This many; of HTTP only.
    Requests(u64),
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
    pub(crate) fn run(self, target: &Target, seconds: u64) -> Result<Outcome> {
        self.make(target, Amount::Seconds(seconds))
    }

    /// Makes so much of the load.
    ///
    /// # Errors
    /// When a request failed, or such a load cannot be counted.
    pub(crate) fn make(self, target: &Target, amount: Amount) -> Result<Outcome> {
        let outcome = match self {
            Self::Http1 { connections, path } => http1(target, amount, connections, path)?,
            Self::Http2 { connections, streams } => {
                let outcome = counted_by_h2load(&mut multiplexed(target, amount, connections, streams))?;
                ensure!(outcome.protocol.as_deref() == Some("h2"), "no HTTP/2 was spoken");
                outcome
            }
            Self::Connect { connections, resume } => {
                let outcome = outcome_of(&mut connecting(target, amount, connections, resume)?)?;
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
                let arguments = ["relay", "--answer", &answer.to_string()];
                outcome_of(&mut generator(target, amount, &arguments)?)?
            }
            Self::Paced { connections, rate } => {
                let (connections, rate) = (connections.to_string(), rate.to_string());
                let arguments = ["pace", "--connections", &connections, "--rate", &rate];
                outcome_of(&mut generator(target, amount, &arguments)?)?
            }
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

/// wrk, which knows no number of requests, or else h2load.
fn http1(target: &Target, amount: Amount, connections: usize, path: &str) -> Result<Outcome> {
    let url = format!("{}://{}{path}", scheme(target), target.address);
    let connections = connections.to_string();
    match amount {
        Amount::Seconds(seconds) => {
            wrk(target.cores, &["--connections", &connections, "--duration", &format!("{seconds}s"), &url])
        }
        Amount::Requests(count) => {
            let count = count.to_string();
            let arguments = ["--h1", "-n", &count, "--clients", &connections, &url];
            counted_by_h2load(&mut h2load(target.cores, &arguments))
        }
    }
}

fn scheme(target: &Target) -> &'static str {
    if target.tls { "https" } else { "http" }
}

/// Runs wrk with these arguments; also used with other hosts and paths.
///
/// # Errors
/// When wrk fails or prints what we do not know.
pub(crate) fn wrk(cores: &str, arguments: &[&str]) -> Result<Outcome> {
    let text = output(on(cores, "wrk").args(["--threads", "1"]).args(arguments))?;
    let completed = number_before(&text, " requests in").with_context(|| format!("wrk said: {text}"))?;
    let refused = text.lines().find_map(|line| line.trim().strip_prefix("Non-2xx or 3xx responses: "));
    let mut failed = refused.map_or(Ok(0), |count| count.trim().parse::<u64>())?;
    if let Some(errors) = text.lines().find_map(|line| line.trim().strip_prefix("Socket errors: ")) {
        let counts = errors.split(", ").filter_map(|part| part.rsplit(' ').next());
        failed += counts.filter_map(|count| count.parse::<u64>().ok()).sum::<u64>();
    }
    Ok(Outcome { completed, failed, ..Outcome::default() })
}

fn multiplexed(target: &Target, amount: Amount, connections: usize, streams: usize) -> Command {
    let url = format!("{}://{}/", scheme(target), target.address);
    let (option, amount) = match amount {
        Amount::Seconds(seconds) => ("--duration", format!("{seconds}s")),
        Amount::Requests(count) => ("-n", count.to_string()),
    };
    let (connections, streams) = (connections.to_string(), streams.to_string());
    h2load(target.cores, &[option, &amount, "--clients", &connections, "-m", &streams, &url])
}

fn h2load(cores: &str, arguments: &[&str]) -> Command {
    let mut command = on(cores, "h2load");
    command.args(["--threads", "1"]).args(arguments);
    command
}

fn counted_by_h2load(command: &mut Command) -> Result<Outcome> {
    let text = output(command)?;
    let count = |what: &str| number_before(&text, what).with_context(|| format!("h2load said: {text}"));
    let spoken = text.lines().find_map(|line| line.strip_prefix("Application protocol: "));
    Ok(Outcome {
        completed: count(" succeeded")?,
        failed: count(" failed")? + count(" errored")? + count(" timeout")?,
        protocol: spoken.map(|protocol| protocol.trim().to_owned()),
        ..Outcome::default()
    })
}

fn connecting(target: &Target, amount: Amount, connections: usize, resume: bool) -> Result<Command> {
    let connections = connections.to_string();
    let mut command = generator(target, amount, &["connect", "--connections", &connections])?;
    if resume {
        command.arg("--resume");
    }
    Ok(command)
}

fn generator(target: &Target, amount: Amount, arguments: &[&str]) -> Result<Command> {
    let Amount::Seconds(seconds) = amount else { bail!("this load cannot be counted") };
    let mut command = ourselves(target.cores)?;
    command.arg("load").args(arguments).args(["--target", &target.address.to_string()]);
    command.args(["--seconds", &seconds.to_string()]);
    if target.tls {
        command.arg("--tls");
    }
    Ok(command)
}

fn outcome_of(generator: &mut Command) -> Result<Outcome> {
    Ok(serde_json::from_str(output(generator)?.trim())?)
}

/// Load beside what is measured, which goes before it on the cores that they share. Nobody asks what becomes of it.
///
/// # Errors
/// When it cannot be started, or is of a kind that nobody needs there.
pub(crate) fn background(load: Load, target: &Target, seconds: u64) -> Result<Child> {
    let amount = Amount::Seconds(seconds);
    let command = match load {
        Load::Http2 { connections, streams } => multiplexed(target, amount, connections, streams),
        Load::Connect { connections, resume } => connecting(target, amount, connections, resume)?,
        other => bail!("{other:?} cannot be in the background"),
    };
    let mut behind = Command::new("nice");
    behind.args(["-n", "10"]).arg(command.get_program()).args(command.get_args());
    behind.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    behind.spawn().context("cannot start nice")
}

/// This program on these cores.
///
/// # Errors
/// When the operating system does not say where it is.
pub(crate) fn ourselves(cores: &str) -> Result<Command> {
    let program: PathBuf = std::env::current_exe()?;
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", cores]).arg(program);
    Ok(command)
}

fn on(cores: &str, program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", cores, program]);
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
