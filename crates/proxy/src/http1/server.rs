//! A connection of a client: its requests, one after the other, and their answers.
//!
//! Under it is the [`Gate`], which lets nothing through that is not framed beyond doubt, and ends what is silent for too
//! long. What comes behind a request stays unread until that has been answered, but for one look whether the client is
//! still there: with the client, the request ends.

mod body;
mod wire;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use http::StatusCode;
use http_body::Body as HttpBody;

use super::Error;
use super::encode::{Asked, Case, Framing};
use crate::codec::{AnswerBody, Incoming};
use crate::gate::Gate;
use crate::io::Prefixed;
use crate::message::{Request, Response, ResponseHead};
use crate::pipe::{Pipe, Turn};
use wire::{Received, Wire};

pub(crate) use body::Body;

/// What is read, and how it is answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Fields of a head.
    pub(crate) most_fields: usize,
    /// Bytes of a head.
    pub(crate) longest_head: usize,
    /// How the names of a response's fields are written.
    pub(crate) case: Case,
}

/// A connection that is no longer HTTP/1, with what was read of it.
pub(crate) type Upgraded = Prefixed<Gate>;

/// Serves requests until the connection ends, or `leave` does and nothing is under way.
///
/// # Errors
/// What the last request was refused for (it has been answered), or why it came to no good end.
pub(crate) fn serve<F, B>(
    gate: Gate,
    rules: Rules,
    leave: impl Future<Output = ()>,
    mut service: impl FnMut(Request<Incoming>) -> F,
) -> impl Future<Output = Result<(), Error>>
where
    F: Future<Output = Response<B>>,
    B: AnswerBody,
{
    // Before the future, which is to be small.
    let wire = Shared(Rc::new(RefCell::new(Wire::new(gate, rules))));
    async move {
        let mut leaving = Leaving { leave: pin!(leave), left: false };
        while let Some(received) = wire.next(&mut leaving).await? {
            // In a box, which a connection at rest does without.
            if !Box::pin(wire.exchange(received, &mut leaving, &mut service)).await? {
                break;
            }
        }
        wire.shut_down().await;
        Ok(())
    }
}

/// What is still to be sent of an answer.
struct Rest<B> {
    framing: Framing,
    body: Option<B>,
    /// A piece that goes behind what has been written.
    pipe: Option<Pipe>,
    turn: Turn,
}

/// The word that the connection shall take no more requests.
struct Leaving<L> {
    leave: L,
    left: bool,
}

impl<L: Future<Output = ()> + Unpin> Leaving<L> {
    /// Has it been said?
    fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        self.left |= !self.left && Pin::new(&mut self.leave).poll(cx).is_ready();
        self.left
    }
}

/// The connection, as its own task has it: whoever else shares it finds it closed when that ends.
struct Shared(Rc<RefCell<Wire>>);

impl Drop for Shared {
    fn drop(&mut self) {
        self.0.borrow_mut().close();
    }
}

impl Shared {
    /// The next request; none when there will be no other. One that is none is answered.
    async fn next(
        &self,
        leaving: &mut Leaving<impl Future<Output = ()> + Unpin>,
    ) -> Result<Option<Box<Received>>, Error> {
        let received = poll_fn(|cx| {
            let wire = &mut *self.0.borrow_mut();
            match wire.poll_request(leaving.left, cx) {
                // Asked only by a connection at rest: whoever serves learns it before the answer.
                Poll::Pending if leaving.poll(cx) => wire.poll_request(true, cx),
                polled => polled,
            }
        });
        match received.await {
            Err(error) => {
                Box::pin(self.refuse(&error)).await;
                Err(error)
            }
            received => received,
        }
    }

    /// One request and its answer; tells whether another may follow.
    async fn exchange<F, B>(
        &self,
        received: Box<Received>,
        leaving: &mut Leaving<impl Future<Output = ()> + Unpin>,
        service: &mut impl FnMut(Request<Incoming>) -> F,
    ) -> Result<bool, Error>
    where
        F: Future<Output = Response<B>>,
        B: AnswerBody,
    {
        let Received { head, decoder, mut asked } = *received;
        let request = Request { head, body: Incoming::Request(Body::new(&self.0, decoder)) };
        let response = {
            let mut answering = pin!(service(request));
            poll_fn(|cx| self.poll_answer(answering.as_mut(), cx)).await?
        };
        asked.keep_alive &= !poll_fn(|cx| Poll::Ready(leaving.poll(cx))).await;
        let upgrades = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let keep_alive = self.send(response, asked).await?;
        poll_fn(|cx| self.0.borrow_mut().poll_received(cx)).await;
        if upgrades {
            self.0.borrow_mut().surrender();
        }
        Ok(self.0.borrow_mut().settle(keep_alive))
    }

    /// Waits for the answer, as long as the client does.
    fn poll_answer<B>(
        &self,
        answering: Pin<&mut impl Future<Output = Response<B>>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<B>, Error>> {
        if let Poll::Ready(response) = answering.poll(cx) {
            return Poll::Ready(Ok(response));
        }
        self.0.borrow_mut().poll_gone(cx).map(Err)
    }

    /// Sends a response; tells whether the connection may go on behind it.
    async fn send<B: AnswerBody>(&self, response: Response<B>, asked: Asked) -> Result<bool, Error> {
        let Response { head, body } = response;
        let size = (!body.is_end_stream()).then(|| body.size_hint());
        let (framing, keep_alive) = self.0.borrow_mut().begin(&head, size, asked)?;
        drop(head);
        let body = (!framing.is_complete()).then_some(body);
        let mut rest = Rest { framing, body, pipe: None, turn: Turn::default() };
        poll_fn(|cx| {
            if let Poll::Ready(sent) = self.poll_send(&mut rest, cx) {
                return Poll::Ready(sent);
            }
            self.0.borrow_mut().poll_gone(cx).map(Err)
        })
        .await?;
        Ok(keep_alive)
    }

    /// Sends the rest of a response. Ready when that was all.
    fn poll_send(&self, rest: &mut Rest<impl AnswerBody>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            let gathered = self.poll_gather(rest, cx);
            let waits_for_room = !self.has_room(rest);
            let flushed = self.poll_flush(rest, cx);
            // What came before it broke off is the client's all the same.
            let gathered = gathered?;
            ready!(flushed)?;
            if gathered.is_ready() {
                return Poll::Ready(Ok(()));
            }
            if !waits_for_room {
                return Poll::Pending;
            }
        }
    }

    /// Takes what there is of the body, as long as there is room. Ready when that was all of it.
    fn poll_gather(&self, rest: &mut Rest<impl AnswerBody>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while let Some(source) = &mut rest.body {
            if rest.pipe.is_some() || !self.0.borrow().has_room() {
                return Poll::Pending;
            }
            let most = rest.framing.uninterrupted().filter(|_| self.0.borrow().takes_pipes());
            // Its end gives connections back, and reports the exchange: nothing is borrowed meanwhile.
            let complete = match most.and_then(|most| source.pipe(most)) {
                Some(pipe) => {
                    let piped = rest.pipe.insert(pipe).held() as u64;
                    rest.framing.passed(piped, source.is_end_stream())?
                }
                None => {
                    let frame = ready!(Pin::new(&mut *source).poll_frame(cx)).transpose();
                    let frame = frame.map_err(|_| Error::Aborted)?;
                    let last = source.is_end_stream();
                    self.0.borrow_mut().write(&mut rest.framing, frame, last)?
                }
            };
            if complete {
                rest.body = None;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn has_room(&self, rest: &Rest<impl AnswerBody>) -> bool {
        rest.pipe.is_none() && self.0.borrow().has_room()
    }

    /// Sends what was taken.
    fn poll_flush(&self, rest: &mut Rest<impl AnswerBody>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = &mut *self.0.borrow_mut();
        ready!(wire.poll_flush(cx))?;
        if let Some(pipe) = &mut rest.pipe {
            ready!(wire.poll_drain(pipe, &mut rest.turn, cx))?;
            rest.pipe.take().into_iter().for_each(Pipe::give_back);
        }
        Poll::Ready(Ok(()))
    }

    /// Answers a head that is none.
    async fn refuse(&self, error: &Error) {
        let Some(status) = error.status() else { return };
        let head = ResponseHead::of(status);
        if self.0.borrow_mut().begin(&head, None, Asked::nothing()).is_ok()
            && poll_fn(|cx| self.0.borrow_mut().poll_flush(cx)).await.is_ok()
        {
            self.shut_down().await;
        }
    }

    async fn shut_down(&self) {
        // It ends in any case.
        let _ = poll_fn(|cx| self.0.borrow_mut().poll_shutdown(cx)).await;
    }
}
