//! What the world has answered to one connection and the connection's task has not written yet.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use klamm_wire::{ApiKey, Response};
use klamm_world::Damage;
use parking_lot::Mutex;

/// One answer, in the order of the connection's requests.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Encode and send this.
    Response { correlation_id: i32, api_key: ApiKey, api_version: i16, response: Response },
    /// Encode this, damage its frame, and send what is left.
    Damaged { correlation_id: i32, api_key: ApiKey, api_version: i16, response: Response, damage: Damage },
    /// The request is done and has no response.
    Nothing,
}

/// A connection's answers. The world's side fills it under the world's lock, so that the order is the world's;
/// the connection's task empties it outside.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    contents: Mutex<Contents>,
}

#[derive(Debug, Default)]
struct Contents {
    answers: Vec<Answer>,
    closed: bool,
    /// The task was woken and has not looked since.
    woken: bool,
    /// The task, while it waits.
    waiting: Option<Waker>,
}

impl Outbox {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn push(&self, answer: Answer) {
        self.contents.lock().answers.push(answer);
    }

    /// Tells the task to close its connection.
    pub(crate) fn close(&self) {
        self.contents.lock().closed = true;
    }

    /// Wakes the task. Not under the world's lock: a wake may enter the kernel.
    pub(crate) fn wake(&self) {
        let mut contents = self.contents.lock();
        contents.woken = true;
        let waiting = contents.waiting.take();
        drop(contents);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }

    /// Waits until there may be something to take.
    pub(crate) async fn woken(&self) {
        poll_fn(|context| self.poll_woken(context)).await;
    }

    /// As [`Outbox::woken`], for the one task that looks.
    pub(crate) fn poll_woken(&self, context: &Context<'_>) -> Poll<()> {
        let mut contents = self.contents.lock();
        if std::mem::take(&mut contents.woken) {
            return Poll::Ready(());
        }
        if !contents.waiting.as_ref().is_some_and(|waiting| waiting.will_wake(context.waker())) {
            contents.waiting = Some(context.waker().clone());
        }
        Poll::Pending
    }

    /// Swaps the answers into `into`, which must be empty; whether the connection is to be closed.
    pub(crate) fn take(&self, into: &mut Vec<Answer>) -> bool {
        let mut contents = self.contents.lock();
        std::mem::swap(&mut contents.answers, into);
        contents.closed
    }
}
