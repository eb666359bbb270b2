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

/// What has happened to the session, to be told when its lock is released.
#[derive(Debug, Default)]
pub(crate) struct Told {
    #[cfg(feature = "tracing")]
    events: Vec<SessionEvent>,
}

#[cfg(feature = "tracing")]
impl Told {
    pub(crate) fn note(&mut self, event: &SessionEvent) {
        self.events.push(event.clone());
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "all else is a warning")]
    pub(crate) fn tell(&mut self) {
        for event in self.events.drain(..) {
            match event {
                SessionEvent::Connecting { .. } | SessionEvent::Ready => tracing::debug!(?event),
                SessionEvent::Connected { .. } | SessionEvent::Closed { .. } => tracing::info!(?event),
                SessionEvent::Expired { .. } | SessionEvent::AuthFailed { .. } => tracing::error!(?event),
                _ => tracing::warn!(?event),
            }
        }
    }
}

#[cfg(not(feature = "tracing"))]
#[expect(clippy::unused_self, reason = "there is something to tell only with the feature")]
impl Told {
    pub(crate) fn note(&mut self, _: &SessionEvent) {}

    pub(crate) fn tell(&mut self) {}
}
