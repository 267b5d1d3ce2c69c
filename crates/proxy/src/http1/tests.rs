//! Both sides of the codec against hyper, whose framing decisions they are to share: the same bytes, whole and cut
//! everywhere. The fuzzer does the same with bytes of its own ([`alike`]).

#[cfg(feature = "fuzzing")]
pub mod alike;
#[cfg(test)]
mod bulk;
mod client;
#[cfg(test)]
mod pieces;
mod server;

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use crate::codec::{Error, Incoming};
use crate::fields::Fields;

/// Two ends of a connection.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (near, (far, _)) = (near.expect("connected"), far.expect("accepted"));
    near.set_nodelay(true).expect("a socket");
    far.set_nodelay(true).expect("a socket");
    (near, far)
}

/// Sends bytes in pieces; whoever reads sees each before there is the next. The places of the cuts come in their order.
async fn send_cut(stream: &mut TcpStream, bytes: &[u8], cuts: &[usize]) {
    let mut sent = 0;
    for cut in cuts.iter().copied().chain([bytes.len()]) {
        if sent > 0 && cut > sent {
            // The runtime looks for events every 61 times.
            for _ in 0..140 {
                tokio::task::yield_now().await;
            }
        }
        // The other side may have had enough.
        let _ = stream.write_all(&bytes[sent..cut]).await;
        sent = cut;
    }
}

/// Runs on a thread of its own clock, which goes on whenever nothing else does: what waits for time does not.
fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    LocalSet::new().block_on(&runtime.expect("a runtime"), future)
}

/// Fields, whatever their order.
fn fields(headers: &Fields) -> BTreeSet<String> {
    let text = |(name, value): (&http::HeaderName, &http::HeaderValue)| format!("{name}: {value:?}");
    headers.iter().map(text).collect()
}

/// How a body ends.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    Complete(BTreeSet<String>),
    Malformed,
    Broken,
}

/// Reads a body to its end.
async fn read(mut body: Incoming) -> (Bytes, End) {
    let (mut bytes, mut trailers) = (BytesMut::new(), BTreeSet::new());
    while let Some(frame) = body.frame().await {
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(data)) => bytes.extend_from_slice(&data),
            Ok(Err(frame)) => trailers = fields(&frame.into_trailers().expect("data or trailers").into()),
            Err(error) if error.is_malformed() => return (bytes.freeze(), End::Malformed),
            Err(_) => return (bytes.freeze(), End::Broken),
        }
    }
    assert!(body.is_end_stream() || matches!(body, Incoming::Hyper(_)), "it knows its end");
    (bytes.freeze(), End::Complete(trailers))
}

/// What an error says.
fn end_of(error: &Error) -> End {
    if error.is_malformed() { End::Malformed } else { End::Broken }
}
