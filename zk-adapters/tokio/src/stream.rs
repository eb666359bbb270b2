use core::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;

use crate::{SessionEvent, SessionEvents, StandingEvent, StandingWatch};

/// All that the watch tells; it ends when the watch does, and [`next`](StandingWatch::next) tells why.
impl Stream for StandingWatch {
    type Item = StandingEvent;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<StandingEvent>> {
        self.get_mut().poll_next(context).map(Result::ok)
    }
}

/// The events up to the session's end.
impl Stream for SessionEvents {
    type Item = SessionEvent;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<SessionEvent>> {
        self.get_mut().poll_next(context)
    }
}
