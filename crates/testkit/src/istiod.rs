//! A certificate authority that speaks istiod's API (`istio.v1.auth.IstioCertificateService`): it signs for whoever shows a
//! token that it knows, and for the identity of that token, whatever the request asks for.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use time::Duration;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

use crate::certs::Authority;
use crate::tls;
use crate::upstream::{frame_message, take_message};

/// The authority, on 127.0.0.1 with a free port, gone when dropped.
#[derive(Debug)]
pub struct Istiod {
    address: SocketAddr,
    state: Arc<State>,
    accepting: AbortHandle,
}

#[derive(Debug)]
struct State {
    authority: Authority,
    lifetime: Mutex<Duration>,
    /// The identity for each token.
    tokens: Mutex<HashMap<String, String>>,
    signed: Mutex<Vec<Signed>>,
}

/// A certificate that was signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signed {
    /// For whom.
    pub id: String,
    /// What the `ClusterID` field said.
    pub cluster: Option<String>,
    /// Seconds asked for.
    pub lifetime_asked_for: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SigningRequest {
    #[prost(string, tag = "1")]
    csr: String,
    #[prost(int64, tag = "3")]
    validity_duration: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SigningResponse {
    #[prost(string, repeated, tag = "1")]
    cert_chain: Vec<String>,
}

/// A gRPC status (`grpc/status.h`).
type Failure = (u8, &'static str);

impl Istiod {
    /// Starts it with its own root; its server certificate is for `localhost` and `istiod.istio-system.svc`. What it signs is
    /// valid for `lifetime`.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(authority: Authority, lifetime: Duration) -> std::io::Result<Self> {
        let certificate = authority.server(&["localhost", "istiod.istio-system.svc"]);
        let acceptor = TlsAcceptor::from(tls::server(&certificate, &["h2"]));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            authority,
            lifetime: Mutex::new(lifetime),
            tokens: Mutex::default(),
            signed: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, state) = (acceptor.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(|request| answer(request, Arc::clone(&state)));
                    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(Self { address, state, accepting: accepting.abort_handle() })
    }

    /// `https://localhost:<port>`.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// Who signs.
    pub fn authority(&self) -> &Authority {
        &self.state.authority
    }

    /// From now on, whoever shows `token` is `id` (`spiffe://…`).
    pub fn know(&self, token: &str, id: &str) {
        lock(&self.state.tokens).insert(token.to_owned(), id.to_owned());
    }

    /// From now on, nobody is known.
    pub fn forget_all(&self) {
        lock(&self.state.tokens).clear();
    }

    /// What it signs from now on is valid for so long.
    pub fn sign_for(&self, lifetime: Duration) {
        *lock(&self.state.lifetime) = lifetime;
    }

    /// What was signed, in order.
    pub fn signed(&self) -> Vec<Signed> {
        lock(&self.state.signed).clone()
    }
}

impl Drop for Istiod {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn answer(
    request: Request<Incoming>,
    state: Arc<State>,
) -> Result<Response<impl hyper::body::Body<Data = Bytes, Error = Infallible>>, Infallible> {
    let (head, body) = request.into_parts();
    let outcome = match body.collect().await {
        Ok(body) if head.uri.path() == "/istio.v1.auth.IstioCertificateService/CreateCertificate" => {
            state.sign(&head.headers, &body.to_bytes())
        }
        Ok(_) => Err((12, "no such method")),
        Err(_) => Err((13, "no request")),
    };
    let mut trailers = HeaderMap::new();
    let mut frames = Vec::new();
    match outcome {
        Ok(chain) => {
            frames
                .push(Ok(Frame::data(frame_message(&SigningResponse { cert_chain: chain }.encode_to_vec()))));
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
        }
        Err((code, why)) => {
            trailers.insert("grpc-status", HeaderValue::from(u16::from(code)));
            trailers.insert("grpc-message", HeaderValue::from_static(why));
        }
    }
    frames.push(Ok(Frame::trailers(trailers)));
    let mut response = Response::new(StreamBody::new(futures_util::stream::iter(frames)));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    Ok(response)
}

impl State {
    fn sign(&self, headers: &HeaderMap, body: &[u8]) -> Result<Vec<String>, Failure> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let token = text("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let id = token.and_then(|token| lock(&self.tokens).get(token).cloned());
        let id = id.ok_or((16, "authentication failure"))?;
        let message = take_message(&mut BytesMut::from(body)).ok_or((3, "no message"))?;
        let request = SigningRequest::decode(message).map_err(|_| (3, "no request"))?;
        let lifetime = *lock(&self.lifetime);
        let signed = self.authority.sign(&request.csr, &id, lifetime);
        let mut chain = signed.map_err(|_| (3, "CSR sign error"))?;
        chain.push(self.authority.pem());
        lock(&self.signed).push(Signed {
            id,
            cluster: text("clusterid").map(str::to_owned),
            lifetime_asked_for: request.validity_duration,
        });
        Ok(chain)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
