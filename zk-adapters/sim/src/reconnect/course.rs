//! The course of a check: faults, one after the other.

use core::time::Duration;
use std::thread;

use zk_session::zk_proto::{Bytes, ConnectResponse, Request, SetDataRequest, Zxid};

use crate::{
    reconnect::{
        WATCHED,
        journal::{Entry, Journal, Seen},
        tap::Taps,
        writer,
    },
    serve::Served,
};

/// Does things to a client.
pub(super) struct Course<'a, F> {
    served: &'a Served,
    taps: &'a Taps,
    journal: &'a Journal,
    tell: F,
}

/// What the rules need to know of a course. Times are those of the journal.
#[derive(Debug)]
pub(super) struct Facts {
    /// The session that it began with, and its timeout.
    pub(super) session: ConnectResponse,
    pub(super) timeout: Duration,
    /// What the server's tree was like when the watch was set; none if there is no watch.
    pub(super) watched_at: Option<Zxid>,
    pub(super) idle_end: Duration,
    pub(super) outage: (Duration, Duration),
    /// When the client's server fell silent, and when the client was on another one.
    pub(super) silence: (Duration, Option<Duration>),
    pub(super) expiry: Duration,
}

impl<'a, F: FnMut(&str)> Course<'a, F> {
    pub(super) fn new(served: &'a Served, taps: &'a Taps, journal: &'a Journal, tell: F) -> Self {
        Self { served, taps, journal, tell }
    }

    /// All of it; none if no client comes.
    pub(super) fn run(&mut self, patience: Duration) -> Option<Facts> {
        let welcome = self.journal.find(patience, first_session)?;
        let timeout = Duration::from_millis(welcome.time_out.unsigned_abs().into());
        (self.tell)(&format!("a session, with a timeout of {timeout:?}"));
        let watched_at = self.journal.find(patience, watched_at);
        (self.tell)(if watched_at.is_some() { "/check is watched" } else { "/check isn't watched" });

        (self.tell)("nothing happens for a session timeout");
        thread::sleep(timeout);
        let idle_end = self.journal.now();
        self.cut(timeout);
        self.lose_answers(timeout);
        let outage = self.refuse(timeout);
        let silence = self.fall_silent(timeout);
        let expiry = self.expire(timeout);
        Some(Facts { session: welcome, timeout, watched_at, idle_end, outage, silence, expiry })
    }

    fn cut(&mut self, timeout: Duration) {
        (self.tell)("its connection is cut");
        self.change(Some("while it is connected"), "/");
        let begin = self.journal.now();
        self.taps.cut();
        self.resumed(begin, timeout);
    }

    /// What is said to the client on the next connection doesn't arrive, and meanwhile the znode changes.
    fn lose_answers(&mut self, timeout: Duration) {
        (self.tell)(
            "its connection is cut again, and once more before its watch is confirmed; /check changes",
        );
        self.taps.keep_answers(true);
        let begin = self.journal.now();
        self.taps.cut();
        self.resumed(begin, timeout);
        self.change(Some("changed"), WATCHED);
        self.taps.keep_answers(false);
        let begin = self.journal.now();
        self.taps.cut();
        self.resumed(begin, timeout);
        self.journal.find(timeout / 2, |entries| is_told(entries).then_some(()));
    }

    /// Each server closes what it accepts.
    fn refuse(&mut self, timeout: Duration) -> (Duration, Duration) {
        (self.tell)("all servers close each connection at once, for half a session timeout");
        self.taps.refuse(true);
        let begin = self.journal.now();
        self.taps.cut();
        thread::sleep(timeout / 2);
        let end = self.journal.now();
        self.taps.refuse(false);
        self.welcomed(begin, timeout);
        (begin, end)
    }

    fn fall_silent(&mut self, timeout: Duration) -> (Duration, Option<Duration>) {
        (self.tell)("its server falls silent");
        let entries = self.journal.entries();
        let server = current(&entries).map(|(entry, _)| entry.server);
        let begin = self.journal.now();
        self.taps.silence(server);
        let noticed = self.welcomed(begin, timeout);
        self.taps.silence(None);
        // What a silent server didn't pass on is missing in its streams.
        if noticed.is_none() {
            let begin = self.journal.now();
            self.taps.cut();
            self.welcomed(begin, timeout);
        }
        (begin, noticed)
    }

    fn expire(&mut self, timeout: Duration) -> Duration {
        (self.tell)("its session expires");
        let entries = self.journal.entries();
        let begin = self.journal.now();
        if let Some((_, welcome)) = current(&entries) {
            self.served.expire(welcome.session_id);
        }
        self.taps.cut();
        let refused = |entries: &[Entry]| {
            let mut later = entries.iter().filter(|entry| entry.at >= begin);
            later.any(Entry::is_refusal).then_some(())
        };
        self.journal.find(timeout, refused);
        thread::sleep(timeout / 2);
        begin
    }

    /// Changes a znode, or raises the zxid otherwise.
    fn change(&self, data: Option<&'static str>, path: &str) {
        let data = data.map(|data| Bytes::from_static(data.as_bytes()));
        let set = Request::SetData(SetDataRequest { path: path.into(), data, version: -1 });
        if let Err(error) = writer::write(self.served.address(0), &set) {
            panic!("the simulated server takes a setData: {error}");
        }
    }

    /// Waits until the client has a session again and has set a watch again, which it may never do.
    fn resumed(&self, begin: Duration, timeout: Duration) {
        if self.welcomed(begin, timeout).is_some() {
            let armed = |entries: &[Entry]| {
                let mut later = entries.iter().filter(|entry| entry.at >= begin);
                later.any(|entry| set_again(entry).is_some()).then_some(())
            };
            self.journal.find(timeout / 4, armed);
        }
    }

    /// When the client has a session again.
    fn welcomed(&self, begin: Duration, timeout: Duration) -> Option<Duration> {
        self.journal.find(timeout, |entries| {
            let mut later = entries.iter().filter(|entry| entry.at >= begin);
            later.find(|entry| entry.granted().is_some()).map(|entry| entry.at)
        })
    }
}

fn first_session(entries: &[Entry]) -> Option<ConnectResponse> {
    entries.iter().find_map(Entry::granted).cloned()
}

/// The zxid of the answer to the request that has set the watch.
fn watched_at(entries: &[Entry]) -> Option<Zxid> {
    entries.iter().find_map(|request| {
        let Seen::Request(xid, body) = &request.what else { return None };
        if !watches(body) {
            return None;
        }
        let replies = entries.iter().filter(|entry| entry.connection == request.connection);
        let mut ok = replies.filter(|entry| matches!(entry.what, Seen::Reply(of, _, true) if of == *xid));
        ok.find_map(Entry::zxid)
    })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the others set no watch on a znode's data")]
fn watches(request: &Request) -> bool {
    let (path, watch) = match request {
        Request::GetData(read) => (&read.path, read.watch),
        Request::Exists(read) => (&read.path, read.watch),
        Request::AddWatch(add) => (&add.path, true),
        _ => return false,
    };
    watch && path.as_str() == Some(WATCHED)
}

/// The relativeZxid with which the watch is set again, if it is.
#[expect(clippy::wildcard_enum_match_arm, reason = "the others set no watch again")]
pub(super) fn set_again(entry: &Entry) -> Option<Zxid> {
    let Seen::Request(_, request) = &entry.what else { return None };
    let (zxid, lists) = match request {
        Request::SetWatches(set) => (set.relative_zxid, vec![&set.data_watches]),
        Request::SetWatches2(set) => {
            let lists = [&set.data_watches, &set.persistent_watches, &set.persistent_recursive_watches];
            (set.relative_zxid, lists.to_vec())
        }
        _ => return None,
    };
    lists.into_iter().any(|list| list.iter_str().any(|path| path == WATCHED)).then_some(zxid)
}

pub(super) fn is_told(entries: &[Entry]) -> bool {
    let is_it =
        |entry: &Entry| matches!(&entry.what, Seen::Event(_, event) if event.path.as_str() == Some(WATCHED));
    entries.iter().any(is_it)
}

/// The connection that the client has a session over.
fn current(entries: &[Entry]) -> Option<(&Entry, &ConnectResponse)> {
    entries.iter().rev().find_map(|entry| Some((entry, entry.granted()?)))
}
