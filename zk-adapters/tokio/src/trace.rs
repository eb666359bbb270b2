//! What is told to `tracing`, if that is asked for: one span for the driver's life, one event for each thing that
//! happens to the session. Neither holds data, passwords or tokens.

use crate::{SessionEvent, driver::Driver};

/// Runs the driver on the current runtime.
pub(crate) fn spawn(driver: Driver) {
    #[cfg(feature = "tracing")]
    let driver = {
        use tracing::Instrument as _;
        driver.instrument(tracing::info_span!("zookeeper session"))
    };
    tokio::spawn(driver);
}

/// Tells what has happened to the session.
#[cfg(feature = "tracing")]
#[expect(clippy::wildcard_enum_match_arm, reason = "all else is a warning")]
pub(crate) fn tell(events: &mut Vec<SessionEvent>) {
    for event in core::mem::take(events) {
        match event {
            SessionEvent::Connecting { .. } | SessionEvent::Ready => tracing::debug!(?event),
            SessionEvent::Connected { .. } | SessionEvent::Closed { .. } => tracing::info!(?event),
            SessionEvent::Expired { .. } | SessionEvent::AuthFailed { .. } => tracing::error!(?event),
            _ => tracing::warn!(?event),
        }
    }
}

#[cfg(not(feature = "tracing"))]
pub(crate) fn tell(events: &mut Vec<SessionEvent>) {
    *events = Vec::new();
}
