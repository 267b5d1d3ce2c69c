//! The socket: HTTP/1.1, few connections, short patience.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::answer::{self, Answer};
use crate::state::State;

/// More connections wait in the accept queue.
const MAX_CONNECTIONS: usize = 64;
/// From the first byte of a request to the last of its head.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// A whole connection: probes and scrapes take milliseconds, and the places are few.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(120);
/// The only body anybody sends is a log filter.
const MAX_BODY: usize = 4096;

/// A bound admin address.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
}

impl Server {
    /// Binds the address. Needs a tokio runtime.
    ///
    /// # Errors
    /// What the kernel says: taken, not permitted, no such address.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await? })
    }

    /// The address that was bound, with the port that the kernel chose if 0 was asked for.
    ///
    /// # Errors
    /// When the kernel does not know.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until it is dropped.
    pub async fn serve(self, state: State) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let state = Arc::new(state);
        loop {
            let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let state = Arc::clone(&state);
                    tokio::spawn(async move {
                        let _ =
                            tokio::time::timeout(CONNECTION_LIFETIME, connection(stream, peer, state)).await;
                        drop(place);
                    });
                }
                // Out of descriptors, most likely: without a pause this would spin.
                Err(error) => {
                    tracing::warn!(%error, "the admin address accepts no connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, state: Arc<State>) {
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { Ok::<_, std::convert::Infallible>(exchange(&state, peer, request).await) }
    });
    let result = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = result {
        tracing::debug!(%error, %peer, "admin connection");
    }
}

async fn exchange(state: &State, peer: SocketAddr, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => answer::answer(state, peer, Request::from_parts(head, body.to_bytes())).await,
        Err(_) => answer::text(StatusCode::PAYLOAD_TOO_LARGE, Bytes::from_static(b"the body is too long\n")),
    }
}
