//! What is asked of a client that reconnects.

use core::{fmt, time::Duration};
use std::collections::BTreeSet;

use zk_session::zk_proto::{ConnectRequest, Zxid};

use crate::reconnect::{
    Outcome, Verdict,
    course::{Facts, is_told, set_again},
    journal::{Entry, Seen},
};

/// A rule for clients that reconnect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// A connection begins with a ConnectRequest, and nothing follows it before the ConnectResponse: a server that
    /// refuses the session closes the connection, and what it hasn't read by then can destroy its answer
    /// (ZOOKEEPER-1702).
    HandshakeAlone,
    /// Each connection presents the session's id and password, until servers say that it has expired.
    SameSession,
    /// `lastZxidSeen` is what the client has seen: no older than what its watch was set against, and no newer than what
    /// it was told. A server that is behind it hangs up, which is how a client never sees time run back.
    LastZxid,
    /// A client that has nothing to say pings, and is silent for no longer than 2/3 of the session timeout.
    PingsInTime,
    /// Each connection sets again the watch that hasn't fired.
    SetsWatchesAgain,
    /// `relativeZxid` is no older than what the watch was set against, or it fires without a change; and no newer than
    /// what the client was told, or a change is missed (ZOOKEEPER-1412).
    RelativeZxid,
    /// A change while the watch was not armed is told after all.
    ChangeTold,
    /// While all servers refuse, a client that has tried each once makes at most 10 attempts a second.
    BacksOff,
    /// While all servers refuse, each gets its turn.
    TriesEveryServer,
    /// A server that is silent is left within the session timeout, for otherwise the session is lost.
    LeavesSilentServer,
    /// A session that servers say has expired is not asked for again.
    LetsGoOfExpired,
}

impl Rule {
    /// In a few words.
    pub fn name(self) -> &'static str {
        match self {
            Self::HandshakeAlone => "the handshake comes first, and alone",
            Self::SameSession => "the same session and password",
            Self::LastZxid => "lastZxidSeen is what was seen",
            Self::PingsInTime => "pings in time",
            Self::SetsWatchesAgain => "sets watches again",
            Self::RelativeZxid => "relativeZxid is what was seen",
            Self::ChangeTold => "no change is missed",
            Self::BacksOff => "backs off",
            Self::TriesEveryServer => "tries every server",
            Self::LeavesSilentServer => "leaves a silent server",
            Self::LetsGoOfExpired => "lets go of an expired session",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// All verdicts, in the order of the rules.
pub(super) fn judge(facts: &Facts, entries: &[Entry]) -> Vec<Verdict> {
    let seen = Record { facts, entries };
    let all = [
        (Rule::HandshakeAlone, seen.handshake_alone()),
        (Rule::SameSession, seen.same_session()),
        (Rule::LastZxid, seen.last_zxid()),
        (Rule::PingsInTime, seen.pings_in_time()),
        (Rule::SetsWatchesAgain, seen.sets_watches_again()),
        (Rule::RelativeZxid, seen.relative_zxid()),
        (Rule::ChangeTold, seen.change_told()),
        (Rule::BacksOff, seen.backs_off()),
        (Rule::TriesEveryServer, seen.tries_every_server()),
        (Rule::LeavesSilentServer, seen.leaves_silent_server()),
        (Rule::LetsGoOfExpired, seen.lets_go_of_expired()),
    ];
    all.into_iter().map(|(rule, (outcome, seen))| Verdict { rule, outcome, seen }).collect()
}

/// An outcome, and what it rests on.
type Finding = (Outcome, String);

struct Record<'a> {
    facts: &'a Facts,
    entries: &'a [Entry],
}

impl Record<'_> {
    fn handshake_alone(&self) -> Finding {
        for (index, entry) in self.entries.iter().enumerate() {
            let what = if let Seen::Nonsense(what) = &entry.what {
                what.clone()
            } else if let Seen::Request(_, request) = &entry.what
                && !self.is_welcome(index)
            {
                format!("{:?}", request.op_code())
            } else {
                continue;
            };
            return failed(format!("connection {} says, out of turn: {what}", entry.connection));
        }
        passed(format!("{} handshakes", self.hellos().count()))
    }

    fn same_session(&self) -> Finding {
        let own = &self.facts.session;
        let later: Vec<_> = self.resumptions().collect();
        match later
            .iter()
            .find(|(_, hello)| (hello.session_id, &hello.passwd) != (own.session_id, &own.passwd))
        {
            _ if later.is_empty() => not_seen("it never reconnects"),
            Some((entry, hello)) if hello.session_id == own.session_id => {
                failed(format!("connection {} presents another password", entry.connection))
            }
            Some((entry, hello)) => {
                failed(format!("connection {} asks for session {}", entry.connection, hello.session_id))
            }
            None => passed(format!("{} presented by {} connections", own.session_id, later.len())),
        }
    }

    fn last_zxid(&self) -> Finding {
        let Some(least) = self.facts.watched_at else { return not_seen("no watch") };
        let all = self.resumptions().map(|(entry, hello)| (entry, hello.last_zxid_seen));
        self.within_what_was_seen(least, all)
    }

    fn pings_in_time(&self) -> Finding {
        let Some(first) = self.entries.iter().find(|entry| matches!(entry.what, Seen::Welcome(_))) else {
            return not_seen("no session");
        };
        let requests = self
            .entries
            .iter()
            .filter(|entry| matches!(entry.what, Seen::Request(..)) && entry.connection == first.connection);
        let mut times: Vec<_> =
            requests.map(|entry| entry.at).filter(|at| *at < self.facts.idle_end).collect();
        times.insert(0, first.at);
        times.push(self.facts.idle_end);
        let longest = times.windows(2).map(|two| two[1].saturating_sub(two[0])).max().unwrap_or_default();
        let what =
            format!("silent for {} at most, with a timeout of {}", short(longest), short(self.facts.timeout));
        if longest <= self.facts.timeout * 7 / 10 { passed(what) } else { failed(what) }
    }

    fn sets_watches_again(&self) -> Finding {
        if self.facts.watched_at.is_none() {
            return not_seen("no watch");
        }
        let resumed: Vec<_> = self.while_watching().filter(|entry| self.is_resumption(entry)).collect();
        let sets_again = |connection| {
            self.entries.iter().any(|entry| entry.connection == connection && set_again(entry).is_some())
        };
        match resumed.iter().find(|entry| !sets_again(entry.connection)) {
            _ if resumed.is_empty() => not_seen("the session is never resumed"),
            Some(entry) => failed(format!("connection {} doesn't set it", entry.connection)),
            None => passed(format!("on {} connections", resumed.len())),
        }
    }

    fn relative_zxid(&self) -> Finding {
        let Some(least) = self.facts.watched_at else { return not_seen("no watch") };
        let all = self.entries.iter().filter_map(|entry| Some((entry, set_again(entry)?)));
        self.within_what_was_seen(least, all)
    }

    fn change_told(&self) -> Finding {
        match self.facts.watched_at {
            None => not_seen("no watch"),
            Some(_) if is_told(self.entries) => passed("the event came".to_owned()),
            Some(_) => failed("there is no event of it".to_owned()),
        }
    }

    fn backs_off(&self) -> Finding {
        let (begin, end) = self.facts.outage;
        let (attempts, time) = (self.outage_dials().count(), end.saturating_sub(begin));
        let what = format!("{attempts} attempts in {}", short(time));
        let most = SERVERS + usize::try_from(time.as_millis() / 100).unwrap_or(usize::MAX);
        if (1..=most).contains(&attempts) { passed(what) } else { failed(what) }
    }

    fn tries_every_server(&self) -> Finding {
        let first: Vec<_> = self.outage_dials().take(2 * SERVERS - 1).map(|entry| entry.server).collect();
        let different = first.iter().collect::<BTreeSet<_>>().len();
        let what = format!("{different} servers in its first {} attempts", first.len());
        match different {
            SERVERS => passed(what),
            _ if first.len() == 2 * SERVERS - 1 => failed(what),
            _ => not_seen(&what),
        }
    }

    fn leaves_silent_server(&self) -> Finding {
        match self.facts.silence {
            (begin, Some(end)) => {
                passed(format!("on another one after {}", short(end.saturating_sub(begin))))
            }
            (_, None) => failed(format!("not within {}", short(self.facts.timeout))),
        }
    }

    fn lets_go_of_expired(&self) -> Finding {
        let later = || self.entries.iter().filter(|entry| entry.at >= self.facts.expiry);
        let refusal = later().find(|entry| entry.is_refusal());
        let Some(refusal) = refusal else { return not_seen("it never asks for it") };
        let hello = self.hellos().find(|(entry, _)| entry.connection == refusal.connection);
        let Some((_, dead)) = hello else { return not_seen("it never asks for it") };
        let mut again = self
            .hellos()
            .filter(|(entry, hello)| entry.at > refusal.at && hello.session_id == dead.session_id);
        match again.next() {
            None => passed("it is told once".to_owned()),
            Some((entry, _)) => failed(format!("connection {} asks for it again", entry.connection)),
        }
    }

    fn within_what_was_seen<'a>(&self, least: Zxid, all: impl Iterator<Item = (&'a Entry, Zxid)>) -> Finding {
        let mut count = 0;
        for (entry, zxid) in all {
            let most = self.told_before(entry);
            if zxid < least || zxid > most {
                let what = format!("connection {} says {zxid}, outside {least} to {most}", entry.connection);
                return failed(what);
            }
            count += 1;
        }
        if count == 0 { not_seen("it is never said") } else { passed(format!("{count} times")) }
    }

    /// The highest zxid of all that the client was told by then.
    fn told_before(&self, entry: &Entry) -> Zxid {
        let before = self.entries.iter().filter(|other| other.at < entry.at);
        before.filter_map(Entry::zxid).max().unwrap_or(Zxid(0))
    }

    fn hellos(&self) -> impl Iterator<Item = (&Entry, &ConnectRequest)> {
        self.entries.iter().filter_map(|entry| Some((entry, entry.hello()?)))
    }

    /// The ConnectRequests that should resume the session: until it expires, which it does by itself if the client comes
    /// back too late.
    fn resumptions(&self) -> impl Iterator<Item = (&Entry, &ConnectRequest)> {
        let first = self.entries.iter().find(|entry| entry.granted().is_some());
        let first = first.map_or(Duration::MAX, |entry| entry.at);
        let refused = self.entries.iter().find(|entry| entry.is_refusal());
        let end = refused.map_or(self.facts.expiry, |entry| entry.at.min(self.facts.expiry));
        self.hellos().filter(move |(entry, _)| entry.at > first && entry.at < end)
    }

    /// What there is before the watch fires.
    fn while_watching(&self) -> impl Iterator<Item = &Entry> {
        let told = self.entries.iter().position(|entry| is_told(core::slice::from_ref(entry)));
        let end = told.unwrap_or(self.entries.len());
        self.entries[..end].iter().filter(|entry| entry.at < self.facts.outage.0)
    }

    fn is_resumption(&self, entry: &Entry) -> bool {
        let own = self.facts.session.session_id;
        let is_first = self.entries.iter().find(|entry| matches!(entry.what, Seen::Welcome(_)));
        matches!(&entry.what, Seen::Welcome(it) if it.session_id == own)
            && is_first.is_some_and(|first| first.connection != entry.connection)
    }

    /// Whether the connection of an entry has had its answer to the handshake by then.
    fn is_welcome(&self, index: usize) -> bool {
        let connection = self.entries[index].connection;
        let mut before = self.entries[..index].iter();
        before.any(|entry| entry.connection == connection && matches!(entry.what, Seen::Welcome(_)))
    }

    fn outage_dials(&self) -> impl Iterator<Item = &Entry> {
        let (begin, end) = self.facts.outage;
        let during = self.entries.iter().filter(move |entry| entry.at >= begin && entry.at < end);
        during.filter(|entry| matches!(entry.what, Seen::Dialled))
    }
}

fn passed(seen: String) -> Finding {
    (Outcome::Passed, seen)
}

fn failed(seen: String) -> Finding {
    (Outcome::Failed, seen)
}

fn not_seen(seen: &str) -> Finding {
    (Outcome::NotSeen, seen.to_owned())
}

fn short(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

const SERVERS: usize = 3;
