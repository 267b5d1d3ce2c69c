//! The load that wrk and h2load cannot make: new connections, bytes without HTTP, idle connections, a steady rate.

use std::io::{self, BufRead};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use clap::ValueEnum;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use crate::material::SERVER_NAME;
use crate::responder::RELAY_REQUEST;

/// What to send where.
#[derive(clap::Args, Clone)]
pub(crate) struct Options {
    #[arg(value_enum)]
    kind: Kind,
    #[arg(long)]
    target: SocketAddr,
    #[arg(long, default_value_t = 16)]
    connections: usize,
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Starts TLS; certificates are not checked.
    #[arg(long)]
    tls: bool,
    /// Resumes sessions (`connect`).
    #[arg(long)]
    resume: bool,
    /// Length of answers (`relay`).
    #[arg(long, default_value_t = 1024)]
    answer: u64,
    /// Requests a second (`pace`).
    #[arg(long, default_value_t = 1000)]
    rate: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A connection per request.
    Connect,
    /// Requests and answers of the responder's relay protocol.
    Relay,
    /// One request per connection, then nothing until the end of standard input.
    Idle,
    /// HTTP requests at a steady rate; latencies count from when a request was due, so that a proxy that stalls cannot
    /// hide it by delaying the requests behind.
    Pace,
}

/// What came of it, as one line of JSON on standard output.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Requests answered.
    pub(crate) completed: u64,
    /// Requests not answered, or wrongly.
    pub(crate) failed: u64,
    /// Of how many connections the TLS session was resumed.
    pub(crate) resumed: u64,
    /// Median latency in microseconds (`pace`).
    pub(crate) p50: Option<u64>,
    /// 99th percentile in microseconds (`pace`).
    pub(crate) p99: Option<u64>,
    /// What h2load spoke, where it said so.
    #[serde(skip)]
    pub(crate) protocol: Option<String>,
}

/// Makes the load and prints the [`Outcome`].
///
/// # Errors
/// When the connections of `idle`, `relay` or `pace` cannot be opened.
pub(crate) fn run(options: Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let options = Rc::new(options);
    let outcome = match options.kind {
        Kind::Idle => runtime.block_on(idle(&options))?,
        _ => LocalSet::new().block_on(&runtime, load(options))?,
    };
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

async fn load(options: Rc<Options>) -> Result<Outcome> {
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let mut workers = JoinSet::new();
    for index in 0..options.connections {
        let options = Rc::clone(&options);
        workers.spawn_local(async move {
            // Each keeps its own tickets: a shared store would run dry when many connect at once.
            let connector = Connector::new(&options);
            match options.kind {
                Kind::Connect => Ok((connect(&connector, end).await, Vec::new())),
                Kind::Relay => Ok((relay(&connector, options.answer, end).await?, Vec::new())),
                Kind::Pace => pace(&connector, &options, index, end).await,
                Kind::Idle => bail!("idle has no workers"),
            }
        });
    }
    let (mut total, mut latencies) = (Outcome::default(), Vec::new());
    while let Some(worker) = workers.join_next().await {
        let (outcome, measured) = worker??;
        total.completed += outcome.completed;
        total.failed += outcome.failed;
        total.resumed += outcome.resumed;
        latencies.extend(measured);
    }
    latencies.sort_unstable();
    let percentile = |percent: usize| latencies.get(latencies.len() * percent / 100).copied();
    (total.p50, total.p99) = (percentile(50), percentile(99));
    Ok(total)
}

async fn connect(connector: &Connector, end: Instant) -> Outcome {
    let mut outcome = Outcome::default();
    while Instant::now() < end {
        let attempt = async {
            let mut connection = connector.open().await?;
            request(&mut connection.stream, &mut vec![0; 4096], true).await?;
            Ok::<bool, anyhow::Error>(connection.resumed)
        };
        match attempt.await {
            Ok(resumed) => {
                outcome.completed += 1;
                outcome.resumed += u64::from(resumed);
            }
            Err(_) => outcome.failed += 1,
        }
    }
    outcome
}

async fn relay(connector: &Connector, answer: u64, end: Instant) -> Result<Outcome> {
    let mut stream = connector.open().await?.stream;
    let mut request = vec![b'x'; RELAY_REQUEST];
    request[..8].copy_from_slice(&answer.to_be_bytes());
    let mut buffer = vec![0; 256 * 1024];
    let mut outcome = Outcome::default();
    while Instant::now() < end {
        stream.write_all(&request).await?;
        stream.flush().await?;
        let mut missing = usize::try_from(answer)?;
        while missing > 0 {
            let wanted = missing.min(buffer.len());
            let count = stream.read(&mut buffer[..wanted]).await?;
            ensure!(count > 0, "closed in the middle of an answer");
            missing -= count;
        }
        outcome.completed += 1;
    }
    Ok(outcome)
}

async fn pace(
    connector: &Connector,
    options: &Options,
    index: usize,
    end: Instant,
) -> Result<(Outcome, Vec<u64>)> {
    let mut stream = connector.open().await?.stream;
    let mut buffer = vec![0; 4096];
    let every = Duration::from_secs(1) * u32::try_from(options.connections)? / options.rate;
    // Connections take turns instead of all asking at once.
    let mut due = Instant::now() + every * u32::try_from(index)? / u32::try_from(options.connections)?;
    let (mut outcome, mut latencies) = (Outcome::default(), Vec::new());
    while due < end {
        tokio::time::sleep_until(due).await;
        // The timer wakes up to a millisecond late; that is the client's doing, unless the answer before was late.
        let start = if Instant::now() > due + every { due } else { Instant::now() };
        request(&mut stream, &mut buffer, false).await?;
        latencies.push(u64::try_from(start.elapsed().as_micros())?);
        outcome.completed += 1;
        due += every;
    }
    Ok((outcome, latencies))
}

async fn idle(options: &Options) -> Result<Outcome> {
    let connector = Connector::new(options);
    let mut open = Vec::new();
    for _ in 0..options.connections {
        let mut stream = connector.open().await?.stream;
        request(&mut stream, &mut vec![0; 4096], false).await?;
        open.push(stream);
    }
    println!("open");
    // Nothing else runs here: the connections just stay.
    io::stdin().lock().lines().for_each(drop);
    Ok(Outcome { completed: open.len() as u64, ..Outcome::default() })
}

/// One request and its answer, which must be 200 and say its length.
async fn request(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    buffer: &mut [u8],
    last: bool,
) -> Result<()> {
    let connection = if last { "connection: close\r\n" } else { "" };
    let text = format!("GET / HTTP/1.1\r\nhost: {SERVER_NAME}\r\n{connection}\r\n");
    stream.write_all(text.as_bytes()).await?;
    stream.flush().await?;
    let mut filled = 0;
    let mut wanted = None;
    while wanted.is_none_or(|wanted| filled < wanted) {
        ensure!(filled < buffer.len(), "an answer longer than expected");
        let count = stream.read(&mut buffer[filled..]).await?;
        ensure!(count > 0, "closed in the middle of an answer");
        filled += count;
        if wanted.is_none() {
            wanted = whole_length(&buffer[..filled])?;
        }
    }
    Ok(())
}

/// Length of head and body, once the head is there.
fn whole_length(answer: &[u8]) -> Result<Option<usize>> {
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&answer[..end])?;
    ensure!(head.starts_with("HTTP/1.1 200"), "not 200: {head}");
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    match fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
        Some((_, length)) => Ok(Some(end + 4 + length.trim().parse::<usize>()?)),
        None => bail!("an answer without content-length: {head}"),
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

struct Connection {
    stream: Box<dyn Stream>,
    resumed: bool,
}

struct Connector {
    target: SocketAddr,
    tls: Option<TlsConnector>,
}

impl Connector {
    fn new(options: &Options) -> Self {
        let tls = options.tls.then(|| TlsConnector::from(client(options.resume)));
        Self { target: options.target, tls }
    }

    async fn open(&self) -> Result<Connection> {
        let stream = TcpStream::connect(self.target).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Connection { stream: Box::new(stream), resumed: false }) };
        let stream = tls.connect(ServerName::try_from(SERVER_NAME)?, stream).await?;
        let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
        Ok(Connection { stream: Box::new(stream), resumed })
    }
}

/// Offers one key exchange and one cipher, so that all proxies do the same work.
fn client(resume: bool) -> Arc<ClientConfig> {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
    provider.cipher_suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256];
    let mut config =
        plenipo_testkit::tls::trusting_client_with(Arc::new(provider), &[&rustls::version::TLS13]);
    config.resumption = if resume { Resumption::in_memory_sessions(256) } else { Resumption::disabled() };
    Arc::new(config)
}
