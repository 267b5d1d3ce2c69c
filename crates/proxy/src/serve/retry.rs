//! Attempts: which endpoint, over which connection, and whether another one follows.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode, header};
use plenipo_model::{Backoff, BalancerRules, Forward};
use tokio::time::Instant;

use self::condition::Seen;
use super::HttpConnection;
use super::forward::{Outgoing, drain};
use super::patience::Patience;
use crate::balancer;
use crate::body::Break;
use crate::codec::Incoming;
use crate::exchange::Exchange;
use crate::failure::Failure;
use crate::fields::Fields;
use crate::message::Response;
use crate::random::Random;
use crate::snapshot::clusters::Upstream;
use crate::upstream::balance;
use crate::upstream::connect::ConnectError;
use crate::upstream::lease::{Lease, SendError};
use crate::upstream::outlier::Heard;
use crate::upstream::pool::{Admission, LeaseError, LocalCluster};

mod condition;

/// Idle connections that may turn out to be dead before a fresh one is made. They cost nothing but a look.
const MAX_STALE: u32 = 4;
/// An answer that nobody wants any more is read for so long, to keep its connection; then the connection is closed.
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// After so many attempts the priorities tried are left for others, where the policy wants that (as Istio sets it).
const ATTEMPTS_OF_A_PRIORITY: usize = 2;

/// How a request is tried.
pub(super) struct Tries<'a> {
    http: &'a Rc<HttpConnection>,
    cluster: &'a Rc<LocalCluster>,
    rule: &'a Forward,
    /// The balancer's key.
    key: Option<u64>,
    /// Where the client was sent before.
    endpoint: Option<SocketAddr>,
    /// Set where a load balancer's rules hold.
    balancer: Option<&'a BalancerRules>,
    /// For the whole exchange.
    patience: &'a Patience,
    /// Who is asked and has not answered yet.
    asked: Cell<Option<SocketAddr>>,
    /// When the last of those asked answered, or failed to.
    heard: Cell<Instant>,
}

/// What earlier attempts leave for later ones.
#[derive(Default)]
struct Before {
    /// Endpoints to avoid.
    tried: Vec<SocketAddr>,
    /// Every attempt's priority, where that counts.
    priorities: Vec<u32>,
    /// Priorities to leave.
    left: Vec<u32>,
}

/// What came of one attempt.
#[allow(
    clippy::large_enum_variant,
    reason = "it lives for a moment; a box would be one more allocation a request"
)]
enum Outcome {
    Answered(Response<Incoming>, Lease),
    Failed(Failure),
    /// The upstream refused the stream before it worked on it.
    RefusedStream,
    /// An idle connection was dead: not an attempt at all. `sent` tells that this showed only after sending.
    Stale {
        sent: bool,
    },
}

impl Outcome {
    fn seen(&self) -> Seen<'_> {
        match self {
            Self::Answered(response, _) => Seen::Answer(response.status(), response.headers()),
            Self::Failed(failure) => Seen::Failure(*failure),
            Self::RefusedStream | Self::Stale { .. } => Seen::RefusedStream,
        }
    }
}

impl<'a> Tries<'a> {
    /// At the endpoint that the client was sent to before (the second of `stays`), or the one of its key, or any.
    pub(super) fn new(
        http: &'a Rc<HttpConnection>,
        cluster: &'a Rc<LocalCluster>,
        rule: &'a Forward,
        stays: (Option<u64>, Option<SocketAddr>),
        balancer: Option<&'a BalancerRules>,
        patience: &'a Patience,
    ) -> Self {
        let (key, endpoint) = stays;
        let (asked, heard) = (Cell::new(None), Cell::new(patience.begun()));
        Self { http, cluster, rule, key, endpoint, balancer, patience, asked, heard }
    }

    /// When the head of the answer came, where there is one.
    pub(super) fn heard_at(&self) -> Instant {
        self.heard.get()
    }

    /// Tries until there is an answer to pass on, or no attempt is left.
    pub(super) async fn run(
        &self,
        outgoing: &mut Outgoing,
        exchange: &mut Exchange,
    ) -> Result<(Response<Incoming>, Lease), Failure> {
        tokio::select! {
            biased;
            result = self.attempts(outgoing, exchange) => result,
            failure = self.patience.run_out(&self.http.worker.alarms) => {
                self.cluster.meter.timeouts.add(1);
                // Not when it is the client that keeps us waiting.
                let upstreams = matches!(failure, Failure::TimedOut | Failure::Silent(StatusCode::GATEWAY_TIMEOUT));
                if let Some(address) = self.asked.take().filter(|_| upstreams) {
                    self.heard(address, Heard::Silence);
                }
                Err(failure)
            }
        }
    }

    async fn attempts(
        &self,
        outgoing: &mut Outgoing,
        exchange: &mut Exchange,
    ) -> Result<(Response<Incoming>, Lease), Failure> {
        let policy = self.rule.retry.as_ref();
        let mut left = policy.map_or(0, |policy| policy.retries);
        let mut stale = 0;
        let mut before = Before::default();
        let mut backoff = policy.and_then(|policy| policy.backoff).unwrap_or_default();
        // The place of the retry under way; its successor needs it.
        let mut place: Option<Admission> = None;
        let mut number = 1;
        loop {
            let last = left == 0;
            let fresh = stale >= MAX_STALE;
            let outcome = self.attempt(outgoing, exchange, &mut before, fresh, last).await;
            if let Outcome::Stale { sent } = outcome {
                stale = if sent { MAX_STALE } else { stale + 1 };
                before.priorities.pop();
                continue;
            }
            let again = !last
                && policy.is_some_and(|policy| condition::holds(policy, &outcome.seen()))
                && outgoing.body.as_ref().is_none_or(|body| body.borrow().replayable());
            if again {
                drop(place.take());
                place = self.cluster.admit(self.rule.priority, true).ok();
            }
            if again && place.is_some() {
                left -= 1;
                number += 1;
                outgoing.is_attempt(number);
                self.cluster.meter.retries.add(1);
                if let Outcome::Answered(response, lease) = outcome {
                    before.tried.push(lease.address);
                    let drained = tokio::time::timeout(DRAIN_TIME, drain(response, lease));
                    self.http.worker.tasks.spawn_local(drained);
                }
                if policy.is_some_and(|policy| !policy.avoid_previous) {
                    before.tried.clear();
                }
                if before.priorities.len().is_multiple_of(ATTEMPTS_OF_A_PRIORITY) {
                    before.left.clone_from(&before.priorities);
                }
                pause(&self.http.worker.random, &mut backoff).await;
                continue;
            }
            return match outcome {
                Outcome::Answered(response, lease) => Ok((response, lease)),
                Outcome::Failed(failure) => Err(failure),
                Outcome::RefusedStream | Outcome::Stale { .. } => Err(Failure::Reset),
            };
        }
    }

    async fn attempt(
        &self,
        outgoing: &mut Outgoing,
        exchange: &mut Exchange,
        before: &mut Before,
        fresh: bool,
        last: bool,
    ) -> Outcome {
        let upstream = Arc::clone(&self.cluster.upstream.borrow());
        let Some(address) = self.choose(&upstream, before).await else {
            return Outcome::Failed(Failure::NoEndpoint);
        };
        exchange.upstream = Some(address);
        let protocol = upstream.protocol(exchange.version);
        let host = upstream.model.tls.as_ref().and_then(|_| outgoing.host());
        let wanted = (address, host, protocol);
        let leased = self.cluster.lease(wanted, self.rule.priority, &self.http.facts, fresh);
        let mut lease = match leased.await {
            Ok(lease) => lease,
            Err(error) => return self.unconnected(exchange, &mut before.tried, address, &error),
        };
        lease.last = self.http.is_last();
        exchange.upstream_local = lease.local;
        let may_follow = !last || (lease.reused && repeatable(outgoing));
        let sent = Instant::now();
        let per_try = self.rule.retry.as_ref().and_then(|policy| policy.per_try_timeout);
        let patience = Patience::new(sent, per_try, None, outgoing.body.as_ref());
        self.asked.set(Some(address));
        let response = tokio::select! {
            biased;
            response = outgoing.send(&mut lease, may_follow) => response,
            () = upstream.drained(address) => return Outcome::Failed(Failure::Drained),
            _ = patience.run_out(&self.http.worker.alarms) => {
                before.tried.push(address);
                self.asked.set(None);
                self.heard(address, Heard::Silence);
                self.cluster.meter.timeouts.add(1);
                self.cluster.meter.answered(0, sent.elapsed());
                return Outcome::Failed(Failure::AttemptTimedOut);
            }
        };
        self.asked.set(None);
        self.heard.set(Instant::now());
        let elapsed = self.heard.get() - sent;
        exchange.upstream_time = Some(elapsed);
        match response {
            Ok(response) if self.refuses(response.headers()) => Outcome::Failed(Failure::BadResponse),
            Ok(response) => {
                self.cluster.meter.answered(response.status().as_u16(), elapsed);
                if upstream.live.outliers.is_some()
                    && let Some(heard) = Heard::in_head(response.status(), response.headers())
                {
                    upstream.live.heard(address, heard);
                }
                Outcome::Answered(response, lease)
            }
            Err(error) => self.failed(outgoing, exchange, &mut before.tried, &lease, error, elapsed),
        }
    }

    /// What it means that there is no connection.
    fn unconnected(
        &self,
        exchange: &mut Exchange,
        tried: &mut Vec<SocketAddr>,
        address: SocketAddr,
        error: &LeaseError,
    ) -> Outcome {
        if matches!(error, LeaseError::Overflow | LeaseError::Full) {
            return Outcome::Failed(Failure::Overflow);
        }
        tried.push(address);
        exchange.upstream_failure = Some(error.to_string());
        self.cluster.meter.answered(0, Duration::ZERO);
        let late = matches!(error, LeaseError::Connect(ConnectError::TimedOut(_)));
        self.heard(address, if late { Heard::Silence } else { Heard::Failure });
        Outcome::Failed(if late { Failure::ConnectTimedOut } else { Failure::Connect })
    }

    /// Must a response not go on?
    fn refuses(&self, head: &Fields) -> bool {
        ambiguous(head) || (self.balancer.is_some() && balancer::head::exceeds_response(head))
    }

    fn heard(&self, address: SocketAddr, heard: Heard) {
        self.cluster.upstream.borrow().live.heard(address, heard);
    }

    async fn choose(&self, upstream: &Upstream, before: &mut Before) -> Option<SocketAddr> {
        let endpoints = match upstream.endpoints() {
            Some(endpoints) => endpoints,
            // Never resolved yet: worth as much waiting as a connection is.
            None => {
                let limit = upstream.model.connect_timeout;
                tokio::time::timeout(limit, upstream.live.resolved()).await.ok()?
            }
        };
        if let Some(kept) = balance::kept(&endpoints, self.endpoint, &before.tried) {
            return Some(kept.address);
        }
        let load = |address| self.cluster.load(address);
        let balance = upstream.model.balance;
        let Before { tried, priorities, left } = before;
        let turn = &self.cluster.turn;
        let chosen = balance::choose_beyond(&endpoints, left, balance, turn, self.key, load, tried)?;
        if self.rule.retry.as_ref().is_some_and(|policy| policy.other_priorities) {
            priorities.push(chosen.priority);
        }
        Some(chosen.address)
    }

    /// What an error of the connection means.
    fn failed(
        &self,
        outgoing: &mut Outgoing,
        exchange: &mut Exchange,
        tried: &mut Vec<SocketAddr>,
        lease: &Lease,
        error: SendError,
        elapsed: Duration,
    ) -> Outcome {
        let SendError { unsent, error, .. } = error;
        if let Some(body) = &outgoing.body {
            let body = body.borrow();
            if body.exceeded() {
                return Outcome::Failed(Failure::BodyTooLarge);
            }
            match body.broken() {
                Some(Break::Gone) => return Outcome::Failed(Failure::ClientGone),
                Some(Break::Malformed) => {
                    let malformed = Failure::Request(StatusCode::BAD_REQUEST, "http1.codec_error");
                    return Outcome::Failed(malformed);
                }
                None => {}
            }
        }
        if lease.reused {
            if unsent {
                return Outcome::Stale { sent: false };
            }
            // However the connection ended (by FIN or by RST), it may have been closed before our request arrived.
            if !error.is_malformed() && error.reset().is_none() && repeatable(outgoing) {
                return Outcome::Stale { sent: true };
            }
        }
        tried.push(lease.address);
        exchange.upstream_failure = Some(error.to_string());
        self.cluster.meter.answered(0, elapsed);
        self.heard(lease.address, Heard::Failure);
        if error.reset() == Some(h2::Reason::REFUSED_STREAM) {
            Outcome::RefusedStream
        } else if error.is_malformed() {
            Outcome::Failed(Failure::BadResponse)
        } else {
            Outcome::Failed(Failure::Reset)
        }
    }
}

/// Waits by chance for less than `backoff.base`, and makes it longer for the next time.
async fn pause(random: &Random, backoff: &mut Backoff) {
    let micros = u64::try_from(backoff.base.as_micros()).unwrap_or(u64::MAX).max(1);
    backoff.lengthen();
    tokio::time::sleep(Duration::from_micros(random.next() % micros)).await;
}

/// May this request be sent again without asking, when a connection that had been idle ends without an answer?
/// (RFC 9110 §9.2.2: a proxy may repeat idempotent requests; one with a body might have reached somebody in part.)
fn repeatable(outgoing: &Outgoing) -> bool {
    let idempotent = matches!(outgoing.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
    idempotent && outgoing.body.is_none()
}

/// A response with two lengths is somebody's attack on whoever reads it (RFC 9112 §6.3).
fn ambiguous(headers: &Fields) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING) && headers.contains_key(header::CONTENT_LENGTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a thousand courses of pauses, each pause is shorter than its bound and the longest nearly as long.
    #[tokio::test(start_paused = true)]
    async fn pauses_are_drawn_below_a_bound_that_doubles() {
        let random = Random::new();
        let mut longest = [Duration::ZERO; 6];
        for _ in 0..1000 {
            let mut backoff = Backoff::default();
            for longest in &mut longest {
                let begun = Instant::now();
                pause(&random, &mut backoff).await;
                *longest = begun.elapsed().max(*longest);
            }
        }
        for (longest, bound) in longest.into_iter().zip([25, 50, 100, 200, 250, 250]) {
            // The clock counts whole milliseconds, rounded up.
            assert!(longest <= Duration::from_millis(bound), "{longest:?} of {bound} ms");
            assert!(longest >= Duration::from_millis(bound * 9 / 10), "{longest:?} of {bound} ms");
        }
    }
}
