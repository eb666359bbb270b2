use core::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Sleep, sleep};

/// The one timer. It isn't set later when the deadline moves away, only looked at again when it fires.
pub(crate) struct Alarm {
    sleep: Pin<Box<Sleep>>,
    is_set: bool,
}

impl Alarm {
    pub(crate) fn new() -> Self {
        Self { sleep: Box::pin(sleep(Duration::ZERO)), is_set: false }
    }

    /// Ready if the deadline has come; otherwise the task is woken then, or earlier.
    pub(crate) fn poll(&mut self, due: Option<tokio::time::Instant>, context: &mut Context<'_>) -> Poll<()> {
        let Some(due) = due else { return Poll::Pending };
        if self.is_set && due >= self.sleep.deadline() && !self.sleep.is_elapsed() {
            return Poll::Pending;
        }
        self.is_set = true;
        self.sleep.as_mut().reset(due);
        self.sleep.as_mut().poll(context)
    }
}
