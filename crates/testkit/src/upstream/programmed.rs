//! A server that answers as a function of the test says.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::task::{AbortHandle, JoinSet};

use super::{listen, lock};

/// A request, whole.
pub type Whole = (Parts, Bytes);

type Answering = dyn Fn(&Whole) -> Response<Bytes> + Send + Sync;

/// An HTTP server (HTTP/1.1, and HTTP/2 with prior knowledge) whose answers are a function of the request. An answer's
/// `trailer-` fields are sent as trailers, without that prefix.
pub struct Programmed {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Whole>>>,
    accepting: AbortHandle,
}

impl Programmed {
    /// Starts on a free port.
    pub async fn start(answer: impl Fn(&Whole) -> Response<Bytes> + Send + Sync + 'static) -> Self {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port of the loopback is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (requests, answer): (_, Arc<Answering>) = (Arc::clone(&seen), Arc::new(answer));
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (requests, answer) = (Arc::clone(&requests), Arc::clone(&answer));
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        respond(request, Arc::clone(&requests), Arc::clone(&answer))
                    });
                    let builder = auto::Builder::new(TokioExecutor::new());
                    // How a connection ends is the client's to tell.
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, seen, accepting: accepting.abort_handle() }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Whole> {
        lock(&self.seen).clone()
    }
}

impl Drop for Programmed {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn respond(
    request: Request<Incoming>,
    seen: Arc<Mutex<Vec<Whole>>>,
    answer: Arc<Answering>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let whole = (parts, body.collect().await?.to_bytes());
    let mut answered = answer(&whole);
    lock(&seen).push(whole);
    let mut trailers = HeaderMap::new();
    for (name, value) in answered.headers() {
        if let Some(name) = name.as_str().strip_prefix("trailer-") {
            trailers.insert(http::HeaderName::from_bytes(name.as_bytes()).expect("a name"), value.clone());
        }
    }
    answered.headers_mut().retain_names(|name| !name.starts_with("trailer-"));
    Ok(answered.map(|body| match trailers.is_empty() {
        true => Full::new(body).boxed(),
        false => Full::new(body).with_trailers(async move { Some(Ok(trailers)) }).boxed(),
    }))
}

trait RetainNames {
    fn retain_names(&mut self, keep: impl Fn(&str) -> bool);
}

impl RetainNames for HeaderMap {
    fn retain_names(&mut self, keep: impl Fn(&str) -> bool) {
        let gone: Vec<_> = self.keys().filter(|name| !keep(name.as_str())).cloned().collect();
        for name in gone {
            self.remove(name);
        }
    }
}
