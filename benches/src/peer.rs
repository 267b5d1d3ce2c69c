//! The proxies: what each is told, and how it is started.

mod envoy;
mod haproxy;
mod nginx;
mod plenipo;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use plenipo_testkit::Process;

use crate::load::ourselves;
use crate::setup::{Back, Place, Setup};

/// A proxy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum)]
pub(crate) enum Peer {
    /// Ours.
    Plenipo,
    /// Ours, behind a load balancer that it runs too; compared with itself only.
    #[value(skip)]
    PlenipoEdge,
    /// From PyPI, with BoringSSL.
    Envoy,
    /// From Debian, with OpenSSL.
    Haproxy,
    /// From Debian, with OpenSSL.
    Nginx,
}

/// How long a proxy may take to serve, and under callgrind.
const START: Duration = Duration::from_secs(90);
const START_COUNTED: Duration = Duration::from_secs(300);

/// How long nginx may take to stop, and others under callgrind.
const STOP: Duration = Duration::from_secs(5);
const STOP_COUNTED: Duration = Duration::from_secs(60);

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let named = self.to_possible_value().map(|value| value.get_name().to_owned());
        f.pad(named.as_deref().unwrap_or("plenipo behind its edge"))
    }
}

impl Peer {
    /// Those that are compared with each other, ours first.
    pub(crate) const ALL: [Self; 4] = [Self::Plenipo, Self::Envoy, Self::Haproxy, Self::Nginx];

    /// A failure of it is a failure of the measurement.
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Plenipo | Self::PlenipoEdge)
    }

    /// Streams that it takes at once on one HTTP/2 connection, as it is by default; at most 1,000 of interest.
    pub(crate) fn streams(self) -> usize {
        match self {
            Self::Plenipo | Self::PlenipoEdge | Self::Haproxy => 100,
            Self::Nginx => 128,
            Self::Envoy => 1_000,
        }
    }

    /// Its executable file.
    pub(crate) fn program(self) -> PathBuf {
        match self {
            Self::Plenipo | Self::PlenipoEdge => root().join("target/bench-peer/plenipo"),
            Self::Envoy => envoy::program(),
            Self::Haproxy => "haproxy".into(),
            Self::Nginx => "nginx".into(),
        }
    }

    /// What it says about its version, on one line.
    ///
    /// # Errors
    /// When it cannot be started; the message names it.
    pub(crate) fn version(self) -> Result<String> {
        let argument = match self {
            Self::Plenipo | Self::PlenipoEdge => "version",
            Self::Envoy => "--version",
            Self::Haproxy | Self::Nginx => "-v",
        };
        let program = self.program();
        let output = Command::new(&program).arg(argument).output();
        let output = output.with_context(|| format!("cannot start {}", program.display()))?;
        // nginx says it on standard error.
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        // The first word that looks like one: each says it in a sentence of its own.
        let mut words = text.split([' ', '/', '\n', '\t']);
        let is_version =
            |word: &&str| word.starts_with(|letter: char| letter.is_ascii_digit()) && word.contains('.');
        Ok(words.find(is_version).context("no version in what it says")?.to_owned())
    }

    /// Starts it and waits until it accepts connections.
    ///
    /// # Errors
    /// When it ends instead; the message has what it printed.
    pub(crate) fn start(self, setup: &Setup) -> Result<Running> {
        std::fs::create_dir_all(&setup.folder)?;
        let arguments = self.configure(setup)?;
        let launched = Instant::now();
        let process = self.launch(&arguments, &setup.place())?;
        let limit = if setup.counted.is_some() { START_COUNTED } else { START };
        let mut running = Running { peer: self, process, arguments, launched, limit };
        running.wait_for(&|| TcpStream::connect(setup.address()).is_ok())?;
        Ok(running)
    }

    /// Writes its configuration and gives the arguments that name it.
    fn configure(self, setup: &Setup) -> Result<Vec<String>> {
        match self {
            Self::Plenipo => plenipo::configure(setup),
            Self::PlenipoEdge => plenipo::configure_edge(setup),
            Self::Envoy => envoy::configure(setup),
            Self::Haproxy => haproxy::configure(setup),
            Self::Nginx => nginx::configure(setup),
        }
    }

    /// Runs it at this place.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn launch(self, arguments: &[String], place: &Place) -> Result<Process> {
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", place.cores]);
        if let Some(file) = &place.counted {
            command.args([
                "valgrind",
                "--quiet",
                "--tool=callgrind",
                &format!("--callgrind-out-file={file}"),
            ]);
        }
        Process::start(command.arg(self.program()).args(arguments))
    }
}

/// A proxy that serves.
pub(crate) struct Running {
    peer: Peer,
    process: Process,
    arguments: Vec<String>,
    launched: Instant,
    /// How long may be waited for something that it shall do.
    limit: Duration,
}

impl Running {
    /// Its process; there may be others below it.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits until this holds, asking every half millisecond, and gives how long it took.
    ///
    /// # Errors
    /// When the proxy ends or does not come to serve.
    pub(crate) fn wait_for(&mut self, holds: &dyn Fn() -> bool) -> Result<Duration> {
        let start = Instant::now();
        while !holds() {
            if let Some(status) = self.process.ended()? {
                bail!("{} ended ({status}): {}", self.peer, self.process.output());
            }
            let lasts = start.elapsed() < self.limit;
            ensure!(lasts, "{} does not serve: {}", self.peer, self.process.output());
            thread::sleep(Duration::from_micros(500));
        }
        Ok(start.elapsed())
    }

    /// Tells it to end and waits until it has.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.process.signal("TERM")?;
        let start = Instant::now();
        while self.process.ended()?.is_none() {
            ensure!(start.elapsed() < STOP_COUNTED, "{} does not end", self.peer);
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// How long ago it was launched, with its configuration all written.
    pub(crate) fn since_launch(&self) -> Duration {
        self.launched.elapsed()
    }

    /// Writes a configuration with another route, for [`Self::change`].
    ///
    /// # Errors
    /// When files cannot be written.
    pub(crate) fn prepare_route(&self, setup: &Setup, host: &str, prefix: &str) -> Result<()> {
        match self.peer {
            Peer::Plenipo | Peer::PlenipoEdge => plenipo::prepare_route(setup, host, prefix),
            Peer::Envoy => envoy::prepare_route(setup, host, prefix),
            Peer::Haproxy => haproxy::prepare_route(setup, host, prefix),
            Peer::Nginx => nginx::prepare_route(setup, host, prefix),
        }
    }

    /// Tells it of the configuration that was prepared, the way its operators do.
    ///
    /// # Errors
    /// When it cannot be told.
    pub(crate) fn change(&mut self, setup: &Setup, host: &str) -> Result<()> {
        match self.peer {
            Peer::Plenipo | Peer::PlenipoEdge => plenipo::change(setup, host),
            Peer::Envoy => envoy::change(setup),
            Peer::Haproxy => {
                // A new process takes over the listeners; the old one ends by itself.
                let old = self.id().to_string();
                let arguments = [self.arguments.clone(), vec!["-sf".into(), old]].concat();
                let old = std::mem::replace(&mut self.process, self.peer.launch(&arguments, &setup.place())?);
                reap(old);
                Ok(())
            }
            Peer::Nginx => self.process.signal("HUP"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The workers of a killed nginx would live on, with its port. The others are one process each, and are killed.
        let runs = matches!(self.process.ended(), Ok(None));
        if self.peer == Peer::Nginx && runs && self.process.signal("TERM").is_ok() {
            let start = Instant::now();
            while start.elapsed() < STOP && matches!(self.process.ended(), Ok(None)) {
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

/// Lets a process that was told to end do so in its own time.
fn reap(mut process: Process) {
    thread::spawn(move || {
        let start = Instant::now();
        while start.elapsed() < START && matches!(process.ended(), Ok(None)) {
            thread::sleep(Duration::from_millis(100));
        }
    });
}

/// An upstream on core 1; killed when dropped.
///
/// # Errors
/// When it does not start.
pub(crate) fn start_upstream(setup: &Setup) -> Result<Process> {
    let mut command = ourselves(setup.load_cores())?;
    command.args(["respond", "--listen", &setup.upstream.to_string()]);
    match setup.back {
        Back::Clear => {}
        Back::Relay => drop(command.arg("--relay")),
        Back::MutualTls => drop(command.args(["--mutual-tls", &setup.material.file("")])),
    }
    let process = Process::start(&mut command)?;
    let start = Instant::now();
    while TcpStream::connect(setup.upstream).is_err() {
        ensure!(start.elapsed() < START, "the upstream does not serve: {}", process.output());
        thread::sleep(Duration::from_millis(1));
    }
    Ok(process)
}

/// The status of a GET in clear text, 0 when there is none.
pub(crate) fn status(setup: &Setup, host: &str, path: &str) -> u16 {
    let ask = || -> std::io::Result<u16> {
        let mut stream = TcpStream::connect(setup.address())?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        let status = answer.get(9..).and_then(|digits| std::str::from_utf8(digits).ok());
        Ok(status.and_then(|digits| digits.parse().ok()).unwrap_or_default())
    };
    ask().unwrap_or_default()
}

/// Those of them that can be started, with their versions printed; fetches Envoy where it is missing.
///
/// # Errors
/// When ours cannot.
pub(crate) fn installed(peers: &[Peer]) -> Result<Vec<Peer>> {
    let mut found = Vec::new();
    for peer in peers {
        let fetched = if *peer == Peer::Envoy { envoy::ensure_installed() } else { Ok(()) };
        match fetched.and_then(|()| peer.version()) {
            Ok(version) => {
                println!("{peer}: {version}");
                found.push(*peer);
            }
            Err(error) if peer.is_ours() => return Err(error),
            Err(error) => eprintln!("{peer} is out: {error:#}"),
        }
    }
    Ok(found)
}

/// The workspace's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("benches is a folder of the workspace")
}
