//! The upstream: as little work as can be, so that what is measured is the proxy.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What to answer, and where.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[arg(long)]
    listen: SocketAddr,
    /// Speaks the relay protocol instead of HTTP.
    #[arg(long)]
    relay: bool,
    /// Requires client certificates; the folder has `ca.crt`, `upstream.crt` and `upstream.key`.
    #[arg(long)]
    mutual_tls: Option<PathBuf>,
}

/// Length of a request in the relay protocol; its first eight bytes say how long the answer shall be.
pub(crate) const RELAY_REQUEST: usize = 1 << 10;

/// Serves until killed.
///
/// # Errors
/// When it cannot listen.
pub(crate) fn run(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(options))
}

async fn serve(options: &Options) -> Result<()> {
    let listener = TcpListener::bind(options.listen).await?;
    let tls = options.mutual_tls.as_deref().map(mutual_tls).transpose()?;
    let relay = options.relay;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let tls = tls.clone();
        tokio::spawn(async move { talk(stream, tls, relay).await });
    }
}

/// Errors end the connection; whoever measures sees them at the other end.
async fn talk(stream: TcpStream, tls: Option<TlsAcceptor>, relay: bool) -> io::Result<()> {
    match tls {
        Some(acceptor) => answer(acceptor.accept(stream).await?).await,
        None if relay => send_back(stream).await,
        None => answer(stream).await,
    }
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let small = response(128);
    let big = response(1 << 20);
    let mut buffer = vec![0; 16 * 1024];
    let mut filled = 0;
    loop {
        let count = stream.read(&mut buffer[filled..]).await?;
        if count == 0 {
            return Ok(());
        }
        filled += count;
        // Requests have no bodies and fit the buffer.
        while let Some(end) = buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") {
            let response = if buffer.starts_with(b"GET /big") { &big } else { &small };
            stream.write_all(response).await?;
            buffer.copy_within(end + 4..filled, 0);
            filled -= end + 4;
        }
        stream.flush().await?;
    }
}

async fn send_back(mut stream: TcpStream) -> io::Result<()> {
    let mut request = [0; RELAY_REQUEST];
    let mut answer = Vec::new();
    loop {
        stream.read_exact(&mut request).await?;
        let length = u64::from_be_bytes(request.first_chunk().copied().unwrap_or_default());
        answer.resize(usize::try_from(length).unwrap_or_default(), b'x');
        stream.write_all(&answer).await?;
    }
}

fn response(length: usize) -> Vec<u8> {
    let mut response =
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n")
            .into_bytes();
    response.resize(response.len() + length, b'x');
    response
}

fn mutual_tls(folder: &std::path::Path) -> Result<TlsAcceptor> {
    let provider = plenipo_testkit::tls::provider();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("ca.crt"))?)?;
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?;
    let chain = CertificateDer::pem_file_iter(folder.join("upstream.crt"))?.collect::<Result<Vec<_>, _>>()?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(folder.join("upstream.key"))?)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
