//! Connections to one endpoint, and one of them lent to an exchange.

use hyper::client::conn::http2;
use std::cell::{Cell, RefCell};
use std::error::Error as _;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::time::Instant;

use super::pool::LocalCluster;
use crate::body::RequestBody;
use crate::codec::{self, Incoming};
use crate::fields::Fields;
use crate::http1;
use crate::message::{Request, Response};
use crate::snapshot::clusters::Upstream;

/// Streams put on one HTTP/2 connection before another is opened, where the cluster does not say.
pub(super) const STREAMS_PER_CONNECTION: usize = 100;

/// Requests given up before they were answered that one HTTP/2 connection bears. Each is a stream reset, and upstreams end
/// connections on which too many are (CVE-2023-44487; the h2 library when 20 wait to be looked at), with everything of
/// everybody that is under way there. So it takes no more requests before that.
const GIVEN_UP: u32 = 10;

/// Connections to one endpoint.
#[derive(Default)]
pub(super) struct LocalEndpoint {
    pub(super) idle: RefCell<Vec<Idle>>,
    pub(super) shared: RefCell<Vec<Rc<Shared>>>,
    pub(super) active: Cell<u32>,
    /// Connections that are open or being made.
    pub(super) open: Cell<u32>,
    /// Held while an HTTP/2 connection is being made, so that a burst shares one.
    pub(super) connecting: tokio::sync::Mutex<()>,
}

pub(super) struct Idle {
    pub(super) connection: http1::client::Connection,
    /// Requests sent on it.
    pub(super) asked: u32,
    pub(super) since: Instant,
    pub(super) born: Instant,
    pub(super) local: Option<SocketAddr>,
}

pub(super) struct Shared {
    pub(super) sender: http2::SendRequest<RequestBody>,
    pub(super) streams: Cell<usize>,
    /// So many streams at a time, the upstream says.
    pub(super) allowed: Rc<Cell<usize>>,
    /// So many at a time, the cluster says.
    pub(super) most: usize,
    /// Requests that it may still take.
    pub(super) left: Cell<u32>,
    /// Requests that were given up before they were answered.
    pub(super) given_up: Cell<u32>,
    pub(super) born: Instant,
    pub(super) idle_since: Cell<Instant>,
    pub(super) local: Option<SocketAddr>,
}

impl Shared {
    /// Would another stream begin at once? (The upstream says how many it works on.)
    fn has_room(&self) -> bool {
        let allowed = self.allowed.get().min(self.most);
        self.left.get() > 0 && self.streams.get() < allowed
    }

    /// A request was given up.
    fn give_up(&self) {
        self.given_up.set(self.given_up.get() + 1);
        if self.given_up.get() >= GIVEN_UP {
            self.left.set(0);
        }
    }
}

/// A connection lent to one exchange.
pub(crate) struct Lease {
    cluster: Rc<LocalCluster>,
    endpoint: Rc<LocalEndpoint>,
    /// Which endpoint.
    pub(crate) address: SocketAddr,
    /// Our end.
    pub(crate) local: Option<SocketAddr>,
    /// It served another exchange before.
    pub(crate) reused: bool,
    /// It serves no other after this one.
    pub(crate) last: bool,
    /// A request was sent on it and not answered, which is not the upstream's doing.
    given_up: bool,
    connection: Lent,
}

pub(super) enum Lent {
    Http1 {
        connection: http1::client::Connection,
        /// Requests sent on it.
        asked: u32,
        born: Instant,
    },
    Http2(Rc<Shared>),
}

impl LocalEndpoint {
    /// Is there any connection at hand?
    pub(super) fn has_any(&self) -> bool {
        !self.idle.borrow().is_empty() || !self.shared.borrow().is_empty()
    }

    /// The idle connection used last: the warmest one, and the others get their chance to grow old.
    pub(super) fn take_idle(&self, upstream: &Upstream) -> Option<Idle> {
        let mut idle = self.idle.borrow_mut();
        let lifetime = upstream.model.max_connection_lifetime;
        while let Some(at) =
            idle.iter().rposition(|idle| idle.connection.is_closed() || idle.connection.is_ready())
        {
            let candidate = idle.remove(at);
            let old = lifetime.is_some_and(|limit| candidate.born.elapsed() >= limit);
            if !candidate.connection.is_closed() && !old {
                return Some(candidate);
            }
        }
        None
    }

    pub(super) fn take_shared(&self, upstream: &Upstream) -> Option<Rc<Shared>> {
        let mut shared = self.shared.borrow_mut();
        let lifetime = upstream.model.max_connection_lifetime;
        shared.retain(|shared| !shared.sender.is_closed());
        let young = |shared: &Shared| lifetime.is_none_or(|limit| shared.born.elapsed() < limit);
        shared.iter().find(|shared| shared.has_room() && young(shared)).cloned()
    }
}

impl Lease {
    pub(super) fn new(
        cluster: &Rc<LocalCluster>,
        endpoint: Rc<LocalEndpoint>,
        address: SocketAddr,
        local: Option<SocketAddr>,
        reused: bool,
        connection: Lent,
    ) -> Self {
        endpoint.active.set(endpoint.active.get() + 1);
        if let Lent::Http2(shared) = &connection {
            shared.streams.set(shared.streams.get() + 1);
            shared.left.set(shared.left.get().saturating_sub(1));
        }
        Self {
            cluster: Rc::clone(cluster),
            endpoint,
            address,
            local,
            reused,
            last: false,
            given_up: false,
            connection,
        }
    }

    /// Sends a request and waits for the head of the response.
    ///
    /// # Errors
    /// The error of the connection.
    pub(crate) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, SendError> {
        match &mut self.connection {
            Lent::Http1 { .. } => {
                let Request { head, body } = request;
                self.send_http1((&head).into(), body).await
            }
            Lent::Http2(shared) => {
                self.given_up = true;
                let response = shared.sender.clone().try_send_request(request.into()).await;
                self.given_up = response.as_ref().is_err_and(|error| !is_upstreams(error.error()));
                response.map(|response| Response::from(response).map(Incoming::Hyper)).map_err(|mut error| {
                    let unsent =
                        error.take_message().map(|request| Box::new(Request::from(request).head.headers));
                    SendError { unsent: unsent.is_some(), fields: unsent, error: error.into_error().into() }
                })
            }
        }
    }

    /// Is HTTP/1 spoken on the connection?
    pub(crate) fn is_http1(&self) -> bool {
        matches!(self.connection, Lent::Http1 { .. })
    }

    /// As [`Lease::send`], without taking the head. To be called where HTTP/1 is spoken.
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn send_http1(
        &mut self,
        head: http1::encode::Head<'_>,
        body: RequestBody,
    ) -> Result<Response<Incoming>, SendError> {
        let Lent::Http1 { connection, asked, .. } = &mut self.connection else {
            return Err(SendError { unsent: true, fields: None, error: http1::Error::Closed.into() });
        };
        *asked = asked.saturating_add(1);
        match connection.send(head, body).await {
            Ok(response) => Ok(response.map(Incoming::Answer)),
            Err(http1::client::SendError { unsent, error }) => {
                Err(SendError { unsent, fields: None, error: error.into() })
            }
        }
    }
}

/// Has the upstream ended the stream, or the connection? (Otherwise it was the body of the request that broke off.)
fn is_upstreams(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|cause| cause.is_remote() || cause.is_io() || cause.is_go_away())
}

/// A request that got no response.
pub(crate) struct SendError {
    /// Nothing of the request was sent.
    pub(crate) unsent: bool,
    /// Its fields, where they were taken and not sent.
    pub(crate) fields: Option<Box<Fields>>,
    pub(crate) error: codec::Error,
}

impl Drop for Lease {
    /// The connection goes back, if it can serve another exchange.
    fn drop(&mut self) {
        self.endpoint.active.set(self.endpoint.active.get() - 1);
        let now = Instant::now();
        match &mut self.connection {
            Lent::Http2(shared) => {
                if self.given_up {
                    shared.give_up();
                }
                shared.streams.set(shared.streams.get() - 1);
                shared.idle_since.set(now);
            }
            Lent::Http1 { connection, asked, born } => {
                let model = &self.cluster.upstream.borrow().model;
                let reusable = !self.last
                    && !connection.is_closed()
                    && model.send_proxy.is_none()
                    && model.max_requests_per_connection.is_none_or(|most| *asked < most);
                match reusable {
                    true => self.endpoint.idle.borrow_mut().push(Idle {
                        connection: connection.clone(),
                        asked: *asked,
                        since: now,
                        born: *born,
                        local: self.local,
                    }),
                    // What still reads on it may go on, but nobody after it.
                    false => connection.retire(),
                }
            }
        }
        self.cluster.freed.notify_one();
    }
}
