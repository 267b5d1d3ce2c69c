//! A network between a client and the API server that can be lost.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::Cluster;

/// A relay in front of the API server, for one test: losing it is nothing to the others. It has a thread of its own, so
/// that it works while a test computes. Gone when dropped.
#[derive(Debug)]
pub struct Network<'c> {
    cluster: &'c Cluster,
    address: SocketAddr,
    state: watch::Sender<State>,
    open: Arc<AtomicUsize>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Up,
    Silent,
    Cut,
}

impl<'c> Network<'c> {
    pub(super) fn start(cluster: &'c Cluster, server: SocketAddr) -> Result<Self> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (state, watched) = watch::channel(State::Up);
        let open = Arc::new(AtomicUsize::new(0));
        let relay = Relay { server, state: watched, open: Arc::clone(&open) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new()
            .name("network".into())
            .spawn(move || runtime.block_on(relay.run(listener)))
            .context("a thread for the network")?;
        Ok(Self { cluster, address, state, open })
    }

    /// Where the API server is for those behind this network.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// As [`Cluster::kubeconfig_of`], through this network.
    ///
    /// # Panics
    /// As there.
    pub async fn kubeconfig_of(&self, namespace: &str, account: &str) -> PathBuf {
        let token = self.cluster.token_file(namespace, account).await;
        self.config(&format!("{namespace}-{account}"), &token)
    }

    /// A kubeconfig that may do everything, through this network.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn kubeconfig(&self) -> PathBuf {
        self.config("admin", &self.cluster.credentials.file("admin.token"))
    }

    fn config(&self, name: &str, token: &std::path::Path) -> PathBuf {
        let name = format!("{name}-{}.kubeconfig", self.address.port());
        let written = self.cluster.credentials.kubeconfig(&name, &self.url(), token);
        written.expect("the cluster's folder can be written")
    }

    /// Connections end with a reset, new ones at once.
    pub fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// Nothing arrives any more on either side, and nobody is told, as when packets are lost. (A new connection is
    /// accepted and silent.) What was sent meanwhile arrives after [`Network::restore`], as TCP repeats it.
    pub fn silence(&self) {
        self.state.send_replace(State::Silent);
    }

    /// All is well again.
    pub fn restore(&self) {
        self.state.send_replace(State::Up);
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

#[derive(Clone)]
struct Relay {
    server: SocketAddr,
    state: watch::Receiver<State>,
    open: Arc<AtomicUsize>,
}

impl Relay {
    async fn run(mut self, listener: std::net::TcpListener) {
        let listener = TcpListener::from_std(listener).expect("a socket that does not block, in a runtime");
        loop {
            let client = tokio::select! {
                accepted = listener.accept() => accepted,
                () = gone(&mut self.state) => return,
            };
            let Ok((client, _)) = client else { continue };
            tokio::spawn(self.clone().carry(client));
        }
    }

    async fn carry(mut self, mut client: TcpStream) {
        let lost = match TcpStream::connect(self.server).await {
            _ if *self.state.borrow() == State::Cut => true,
            Ok(mut server) => {
                self.open.fetch_add(1, Ordering::Relaxed);
                let lost = self.relay(&mut client, &mut server).await;
                self.open.fetch_sub(1, Ordering::Relaxed);
                lost
            }
            // The API server is down.
            Err(_) => true,
        };
        if lost {
            // The client may have closed first; then there is nothing to reset.
            let _ = client.set_zero_linger();
        }
    }

    /// Relays until one side closes (false) or the network is cut (true).
    async fn relay(&mut self, client: &mut TcpStream, server: &mut TcpStream) -> bool {
        let state = self.state.clone();
        let (client_read, client_write) = client.split();
        let (server_read, server_write) = server.split();
        tokio::select! {
            // First, so that nothing passes that came after the cut.
            biased;
            _ = self.state.wait_for(|state| *state == State::Cut) => true,
            _ = pump(client_read, server_write, state.clone()) => false,
            _ = pump(server_read, client_write, state.clone()) => false,
        }
    }
}

async fn gone(state: &mut watch::Receiver<State>) {
    while state.changed().await.is_ok() {}
}

/// One direction, until it ends.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<State>,
) -> Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut buffer).await?;
        state.wait_for(|state| *state != State::Silent).await?;
        if count == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..count]).await?;
    }
}
