//! What short-lived threads find out for a loop that must not wait for it.

use core::{net::SocketAddr, time::Duration};
use std::{
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
    thread,
};

use zk_client::DialError;
use zk_session::{ConnectionId, ProbeId};

use crate::transport::Transport;

/// What a thread has found out.
pub(crate) enum News {
    /// A transport is there, or none could be had.
    Dialled(ConnectionId, Result<(Transport, SocketAddr), DialError>),
    /// Whether a server is read-write.
    Probed(ProbeId, bool),
}

pub(crate) struct NewsDesk {
    news: Receiver<News>,
    reporter: Sender<News>,
    wake: Arc<dyn Fn() + Send + Sync>,
    /// So many threads haven't reported yet.
    awaited: usize,
}

impl NewsDesk {
    pub(crate) fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        let (reporter, news) = mpsc::channel();
        Self { news, reporter, wake: Arc::new(wake), awaited: 0 }
    }

    /// The next news, if there is any.
    pub(crate) fn next(&mut self) -> Option<News> {
        // Nobody sends for much: looking would cost more.
        let news = if self.awaited > 0 { self.news.try_recv().ok() } else { None };
        self.awaited -= usize::from(news.is_some());
        news
    }

    /// The same, once it is there, if that takes no longer.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<News> {
        let news = self.news.recv_timeout(limit).ok();
        self.awaited -= usize::from(news.is_some());
        news
    }

    /// Whether there may be some before long.
    pub(crate) fn awaits(&self) -> bool {
        self.awaited > 0
    }

    pub(crate) fn send_for(&mut self, find_out: impl FnOnce() -> News + Send + 'static) {
        let (reporter, wake) = (self.reporter.clone(), Arc::clone(&self.wake));
        let thread = thread::Builder::new().name("zk-dial".to_owned());
        // Without a thread there is no news, and the session tries again when its time has passed.
        let spawned = thread.spawn(move || {
            // Nobody listens any more if the desk was closed.
            let _ = reporter.send(find_out());
            wake();
        });
        self.awaited += usize::from(spawned.is_ok());
    }
}
