//! The traffic: clients of every kind, well behaved and not, each one exchange after the other.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::Request;
use plenipo_testkit::client::Target;
use plenipo_testkit::{Http, HttpConnection, Raw};
use tokio::task::JoinHandle;

use super::site::Site;

/// Between two turns of a client: load is not what this is about.
const PAUSE: Duration = Duration::from_millis(4);
/// No turn takes so long, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(300);
/// A kept connection is used for so many requests.
const KEPT: usize = 50;
/// Errors of one kind of client that are shown.
const SHOWN: usize = 3;

/// Where they go.
struct Ways {
    clear: SocketAddr,
    relay: SocketAddr,
    one: Target,
    two: Target,
    nobody: Target,
}

/// Clients at work.
pub(super) struct Clients {
    stop: Arc<AtomicBool>,
    told: Arc<Mutex<BTreeMap<&'static str, Turns>>>,
    tasks: Vec<JoinHandle<()>>,
}

/// What one kind of client has done.
#[derive(Debug, Default)]
struct Turns {
    done: usize,
    failed: usize,
    /// The first of them.
    errors: Vec<String>,
}

impl Turns {
    fn count(&mut self, outcome: Result<()>) {
        match outcome {
            Ok(()) => self.done += 1,
            Err(error) => {
                self.failed += 1;
                if self.errors.len() < SHOWN {
                    self.errors.push(format!("{error:#}"));
                }
            }
        }
    }
}

/// What all have done.
pub(super) struct Told(BTreeMap<&'static str, Turns>);

impl Told {
    /// All came to do something, and none failed.
    pub(super) fn check(&self) -> Result<()> {
        let idle: Vec<_> = self.0.iter().filter(|(_, turns)| turns.done == 0).collect();
        let failed: Vec<_> = self.0.iter().filter(|(_, turns)| turns.failed > 0).collect();
        ensure!(idle.is_empty() && failed.is_empty(), "did nothing: {idle:?}; failed: {failed:#?}");
        Ok(())
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = self.0.iter().map(|(name, turns)| format!("{} × {name}", turns.done));
        f.write_str(&each.collect::<Vec<_>>().join(", "))
    }
}

/// Starts clients of a kind: so many, each a turn after the other.
macro_rules! clients {
    ($clients:ident, $ways:ident, $($count:literal $name:literal => $turn:ident),+ $(,)?) => {
        $(for _ in 0..$count {
            let (stop, told, ways) = (Arc::clone(&$clients.stop), Arc::clone(&$clients.told), Arc::clone(&$ways));
            $clients.tasks.push(tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let turn = tokio::time::timeout(PATIENCE, $turn(&ways)).await;
                    let outcome = turn.context("it takes too long").and_then(|turn| turn);
                    told.lock().unwrap_or_else(PoisonError::into_inner).entry($name).or_default().count(outcome);
                    tokio::time::sleep(PAUSE).await;
                }
            }));
        })+
    };
}

impl Clients {
    pub(super) fn start(site: &Site) -> Self {
        let ways = Arc::new(Ways {
            clear: site.clear(),
            relay: site.relay(),
            one: site.tls(&["http/1.1"]),
            two: site.tls(&["h2"]),
            nobody: Target::tls(
                site.encrypted(),
                "nobody.example.com",
                plenipo_testkit::tls::trusting_client(&[]),
            ),
        });
        let mut clients = Self { stop: Arc::default(), told: Arc::default(), tasks: Vec::new() };
        clients!(clients, ways,
            4 "kept connection of HTTP/1" => kept_one,
            2 "kept connection of HTTP/1 by TLS" => kept_one_by_tls,
            2 "kept connection of HTTP/2" => kept_two,
            2 "kept connection of HTTP/2 by TLS" => kept_two_by_tls,
            2 "handshake" => handshake,
            2 "pipeline" => pipeline,
            2 "upload" => upload,
            2 "call of gRPC" => call,
            2 "WebSocket" => web_socket,
            2 "relay" => relay,
            2 "relay that is closed by halves" => half_closed,
            2 "slow sender" => slow_sender,
            2 "slow reader" => slow_reader,
            2 "client that goes in a request" => gone_in_request,
            2 "client that goes in an answer" => gone_in_answer,
            2 "stream that is reset" => reset_stream,
            1 "WebSocket that is dropped" => dropped_socket,
            1 "request that is malformed" => malformed,
            1 "handshake for nobody" => handshake_for_nobody,
            2 "upstream that fails" => failing,
        );
        clients
    }

    /// Has them finish what they are at.
    pub(super) async fn end(self) -> Told {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("a client does not panic");
        }
        Told(std::mem::take(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Requests over one connection, until the gateway wants its end.
async fn kept(client: Http, path: &str) -> Result<()> {
    let mut connection = client.connect().await?;
    for number in 0..KEPT {
        let request = match number % 5 {
            0 => Request::post(path).body("x".repeat(20_000))?,
            1 => Request::get(path).header("x-echo-body-bytes", "50000").body(String::new())?,
            2 => Request::head(path).body(String::new())?,
            3 => Request::get(path)
                .header("te", "trailers")
                .header("x-echo-trailers", "x-sum=1")
                .body(String::new())?,
            _ => Request::get(path).body(String::new())?,
        };
        let response = connection.send(request).await?;
        ensure!(response.status == 200, "{} for {path}", response.status);
        if response.header("connection") == "close" {
            break;
        }
    }
    Ok(())
}

async fn kept_one(ways: &Ways) -> Result<()> {
    kept(Http::one(ways.clear), "/one/").await?;
    kept(Http::one(ways.clear), "/two/").await
}

async fn kept_one_by_tls(ways: &Ways) -> Result<()> {
    kept(Http::one(ways.one.clone()), "/one/").await
}

async fn kept_two(ways: &Ways) -> Result<()> {
    kept(Http::two(ways.clear), "/one/").await?;
    kept(Http::two(ways.clear), "/two/").await
}

async fn kept_two_by_tls(ways: &Ways) -> Result<()> {
    kept(Http::two(ways.two.clone()), "/two/").await
}

async fn handshake(ways: &Ways) -> Result<()> {
    let response = Http::one(ways.one.clone()).get("/one/").await?;
    ensure!(response.status == 200, "{}", response.status);
    Ok(())
}

async fn pipeline(ways: &Ways) -> Result<()> {
    let mut raw = Raw::connect(ways.clear).await?;
    let one = "GET /one/x HTTP/1.1\r\nHost: a\r\n\r\n";
    raw.send(format!("{one}{one}{one}")).await?;
    for _ in 0..3 {
        ensure!(raw.response().await?.starts_with("HTTP/1.1 200"), "not answered");
    }
    Ok(())
}

async fn upload(ways: &Ways) -> Result<()> {
    let body = vec![b'x'; 1_000_000];
    let response = Http::one(ways.clear).send_with(Request::post("/one/"), body.clone()).await?;
    ensure!(response.echoed()?.body.length == body.len(), "not all of it");
    let response = Http::two(ways.two.clone()).send_with(Request::post("/two/"), body.clone()).await?;
    ensure!(response.echoed()?.body.length == body.len(), "not all of it");
    Ok(())
}

async fn call(ways: &Ways) -> Result<()> {
    for client in [Http::two(ways.clear), Http::two(ways.two.clone())] {
        let mut connection = client.connect().await?;
        let mut call = connection.open_call(Request::post("/demo.Echo/Talk")).await?;
        for message in ["one", "two", "three"] {
            call.send(message.as_bytes()).await?;
            ensure!(
                call.receive().await?.context("no message")?.ends_with(message.as_bytes()),
                "another message"
            );
        }
        call.finish();
        while call.receive().await?.is_some() {}
        ensure!(call.status().code == 0, "{:?}", call.status());
        let failing = Request::post("/demo.Echo/Say").header("x-echo-grpc-status", "7");
        ensure!(connection.call(failing, &["a"]).await?.1.code == 7, "another status");
    }
    Ok(())
}

async fn web_socket(ways: &Ways) -> Result<()> {
    for client in [Http::one(ways.clear), Http::one(ways.one.clone())] {
        let mut socket = client.websocket(Request::get("/socket/room")).await?;
        for message in ["hello", "again"] {
            socket.send(message).await?;
            ensure!(socket.receive().await? == message, "another message");
        }
        socket.close().await?;
    }
    Ok(())
}

async fn relay(ways: &Ways) -> Result<()> {
    let mut raw = Raw::connect(ways.relay).await?;
    let bytes = vec![b'x'; 100_000];
    for _ in 0..3 {
        raw.send(&bytes).await?;
        ensure!(raw.exactly(bytes.len()).await? == bytes, "other bytes");
    }
    Ok(())
}

async fn half_closed(ways: &Ways) -> Result<()> {
    let mut raw = Raw::connect(ways.relay).await?;
    raw.send("the last words").await?;
    raw.finish().await?;
    ensure!(raw.to_end().await? == b"the last words", "other words");
    let mut raw = Raw::connect(ways.clear).await?;
    raw.send("GET /one/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await?;
    ensure!(raw.to_end().await?.starts_with(b"HTTP/1.1 200"), "not answered");
    Ok(())
}

async fn slow_sender(ways: &Ways) -> Result<()> {
    let mut raw = Raw::connect(ways.clear).await?;
    for piece in [
        "GET /o",
        "ne/ HT",
        "TP/1.1\r\nHo",
        "st: a\r\nTransfer-Encoding: chu",
        "nked\r\n\r\n3\r\na",
        "bc\r\n0\r\n",
        "\r\n",
    ] {
        raw.send(piece).await?;
        tokio::time::sleep(PAUSE).await;
    }
    ensure!(raw.response().await?.starts_with("HTTP/1.1 200"), "not answered");
    Ok(())
}

async fn slow_reader(ways: &Ways) -> Result<()> {
    let mut raw = Raw::connect(ways.clear).await?;
    raw.send("GET /one/ HTTP/1.1\r\nHost: a\r\nx-echo-body-bytes: 3000000\r\n\r\n").await?;
    raw.until("\r\n\r\n").await?;
    for _ in 0..30 {
        raw.exactly(100_000).await?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

async fn gone_in_request(ways: &Ways) -> Result<()> {
    for begun in [
        "",
        "GET /one/ HT",
        "GET /one/ HTTP/1.1\r\nHost: a\r\nx-echo-delay-ms: 5000\r\n\r\n",
        "POST /one/ HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf",
        "POST /two/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf",
    ] {
        Raw::connect(ways.clear).await?.send(begun).await?;
    }
    Ok(())
}

/// What is not read is answered with a reset.
async fn gone_in_answer(ways: &Ways) -> Result<()> {
    for path in ["/one/", "/two/"] {
        let mut raw = Raw::connect(ways.clear).await?;
        raw.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nx-echo-body-bytes: 2000000\r\n\r\n")).await?;
        raw.until("\r\n\r\n").await?;
    }
    Ok(())
}

async fn reset_stream(ways: &Ways) -> Result<()> {
    let mut connection: HttpConnection = Http::two(ways.two.clone()).connect().await?;
    for path in ["/one/", "/two/"] {
        let large = Request::get(path).header("x-echo-body-bytes", "2000000").body(String::new())?;
        drop(connection.begin(large).await?);
        let slow = Request::get(path).header("x-echo-delay-ms", "5000").body(String::new())?;
        let _ = tokio::time::timeout(PAUSE, connection.send(slow)).await;
        ensure!(connection.get(path).await?.status == 200, "the connection is of no use any more");
    }
    Ok(())
}

async fn dropped_socket(ways: &Ways) -> Result<()> {
    let mut socket = Http::one(ways.clear).websocket(Request::get("/socket/room")).await?;
    socket.send("hello").await
}

async fn malformed(ways: &Ways) -> Result<()> {
    for bytes in [
        "GET /one/ HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
        "POST /one/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /one/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nnonsense\r\n",
        "\0\r\n\r\n",
    ] {
        let answer = Raw::exchange(ways.clear, bytes).await?;
        ensure!(answer.starts_with(b"HTTP/1.1 400"), "{bytes:?}: {}", String::from_utf8_lossy(&answer));
    }
    Ok(())
}

async fn handshake_for_nobody(ways: &Ways) -> Result<()> {
    ensure!(ways.nobody.connect().await.is_err(), "nobody has a certificate");
    Ok(())
}

async fn failing(ways: &Ways) -> Result<()> {
    for (path, status) in [("/down/", 503), ("/broken/", 502), ("/silent/", 504), ("/reset/", 503)] {
        for client in [Http::one(ways.clear), Http::two(ways.two.clone())] {
            let response = client.send(Request::get(path).header("x-echo-reset", "1")).await?;
            ensure!(response.status == status, "{} for {path}", response.status);
        }
    }
    Ok(())
}
