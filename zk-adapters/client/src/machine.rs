use zk_session::{Config, Instant};

/// A session as clients hold it. With feature `record` it may write down what it is told; without, it is a
/// [`Session`](zk_session::Session) and nothing else.
#[cfg(feature = "record")]
pub use zk_sim::drive::RecordedSession as Machine;

/// A session as clients hold it. With feature `record` it may write down what it is told; without, it is a
/// [`Session`](zk_session::Session) and nothing else.
#[cfg(not(feature = "record"))]
pub use zk_session::Session as Machine;

#[cfg(feature = "record")]
pub use zk_sim::drive::Recorder;

/// Whether a session is to be recorded, and where.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Recording {
    /// Where it is recorded, if it is.
    #[cfg(feature = "record")]
    pub recorder: Option<Recorder>,
}

impl Recording {
    /// Makes a session that begins now.
    pub fn open(&self, config: Config, now: Instant) -> Machine {
        #[cfg(feature = "record")]
        return Machine::new(config, now, self.recorder.as_ref());
        #[cfg(not(feature = "record"))]
        Machine::new(config, now)
    }
}
