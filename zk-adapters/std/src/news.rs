//! What short-lived threads find out for a loop that must not wait for it.

use std::{
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
    thread,
};

use zk_session::{ConnectionId, ProbeId};

use crate::transport::Transport;

/// What a thread has found out.
pub(crate) enum News {
    /// A transport is there, or none could be had.
    Dialled(ConnectionId, Option<Transport>),
    /// Whether a server is read-write.
    Probed(ProbeId, bool),
}

pub(crate) struct NewsDesk {
    news: Receiver<News>,
    reporter: Sender<News>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl NewsDesk {
    pub(crate) fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        let (reporter, news) = mpsc::channel();
        Self { news, reporter, wake: Arc::new(wake) }
    }

    /// The next news, if there is any.
    pub(crate) fn next(&self) -> Option<News> {
        self.news.try_recv().ok()
    }

    pub(crate) fn send_for(&self, find_out: impl FnOnce() -> News + Send + 'static) {
        let (reporter, wake) = (self.reporter.clone(), Arc::clone(&self.wake));
        let thread = thread::Builder::new().name("zk-dial".to_owned());
        // Without a thread there is no news, and the session tries again when its time has passed.
        let _ = thread.spawn(move || {
            // Nobody listens any more if the desk was closed.
            let _ = reporter.send(find_out());
            wake();
        });
    }
}
