//! WebSocket echo: every text and binary message comes back.

use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::echo::{Body, Connection};

/// Completes the handshake of RFC 6455 section 4.2.2 (the first subprotocol offered is taken) and echoes from then on.
pub(super) fn answer(connection: &Arc<Connection>, mut request: Request<Incoming>) -> Result<Response<Body>> {
    let key = request.headers().get(SEC_WEBSOCKET_KEY).context("no sec-websocket-key")?;
    let accept = derive_accept_key(key.as_bytes());
    let mut response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(offered) = request.headers().get(SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok())
    {
        response =
            response.header(SEC_WEBSOCKET_PROTOCOL, offered.split(',').next().unwrap_or_default().trim());
    }
    let upgrade = hyper::upgrade::on(&mut request);
    let held = Arc::clone(connection);
    connection.spawn(async move {
        // The connection counts as open until this task ends.
        let _held = held;
        let Ok(upgraded) = upgrade.await else { return };
        let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            // Pings and closes are answered by the library itself.
            if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                return;
            }
        }
    });
    let nothing = Empty::<Bytes>::new().boxed();
    Ok(response.body(nothing)?)
}
