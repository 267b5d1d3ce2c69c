//! An exchange that nothing has been answered to yet.

use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::sync::Arc;

use plenipo_model::Route;

use super::HttpConnection;
use super::response::Finish;
use crate::balancer::answers::CLIENT_GONE;
use crate::exchange::Exchange;
use crate::snapshot::CompiledHttp;

/// The record of a request under way. When it is dropped without an answer (the client is gone, and with it the future
/// that was to answer), it is reported all the same.
pub(crate) struct Begun {
    http: Rc<HttpConnection>,
    server: Arc<CompiledHttp>,
    route: Option<Arc<Route>>,
    exchange: Option<Box<Exchange>>,
}

impl Begun {
    /// Counts the request as being under way.
    pub(super) fn new(
        http: &Rc<HttpConnection>,
        server: &Arc<CompiledHttp>,
        exchange: Box<Exchange>,
    ) -> Self {
        http.meter.requests_active.set(http.meter.requests_active.get() + 1);
        Self { http: Rc::clone(http), server: Arc::clone(server), route: None, exchange: Some(exchange) }
    }

    /// A route takes it.
    pub(super) fn taken_by(&mut self, route: &Arc<Route>) {
        self.route = Some(Arc::clone(route));
        self.deref_mut().route = Some(Arc::clone(&route.name));
    }

    /// There is an answer: whoever sends it reports its end.
    pub(super) fn answered(mut self) -> Box<Exchange> {
        self.exchange.take().expect("only this takes it, and takes all with it")
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(mut exchange) = self.exchange.take() {
            if self.server.model.balancer.is_some() {
                exchange.status = CLIENT_GONE;
            }
            Finish::new(&self.http, &self.server, self.route.as_ref(), exchange).end(false);
        }
    }
}

impl Deref for Begun {
    type Target = Exchange;

    fn deref(&self) -> &Exchange {
        self.exchange.as_ref().expect("it is there until it is answered")
    }
}

impl DerefMut for Begun {
    fn deref_mut(&mut self) -> &mut Exchange {
        self.exchange.as_mut().expect("it is there until it is answered")
    }
}
