//! Which watches there are, by what their requests were answered.

use std::collections::{BTreeMap, BTreeSet};

use zk_session::{
    Event, Reply, RequestError, RequestId, WatchEvent,
    zk_proto::{
        AddWatchMode, ErrorCode, EventType, OpCode, Request, SetWatches, SetWatches2, Stat, Ustring, Vector,
        WatcherType, Zxid,
    },
};

use super::Sighting;

/// What a watch waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Data,
    Exist,
    Child,
    Persistent,
    Recursive,
}

#[derive(Clone, Debug)]
pub(super) struct WatchBook {
    chroot: Option<String>,
    live: BTreeMap<RequestId, Live>,
    given_up: BTreeSet<RequestId>,
    is_closing: bool,
    /// What was live when the connection was accepted.
    at_connect: BTreeSet<(Ustring, Kind)>,
    /// Where watches have ended since then: others of the path may have to be set again for it.
    ended_at: BTreeSet<Ustring>,
    /// Which have gone since then, and how much of the stream had been handed out by then.
    gone: BTreeMap<(Ustring, Kind), u64>,
}

/// A watch that a session holds.
#[derive(Clone, Debug)]
pub(crate) struct LiveWatch {
    /// The znode, as servers name it.
    pub(crate) path: Ustring,
    kind: Kind,
    /// What the application knew when it was set.
    pub(crate) since: Zxid,
}

impl LiveWatch {
    /// The registrations at a server that serve it, each alone.
    pub(crate) fn armed_by(&self) -> &'static [WatcherType] {
        match self.kind {
            Kind::Data | Kind::Exist => {
                &[WatcherType::DATA, WatcherType::PERSISTENT, WatcherType::PERSISTENT_RECURSIVE]
            }
            Kind::Child => &[WatcherType::CHILDREN, WatcherType::PERSISTENT],
            Kind::Persistent => &[WatcherType::PERSISTENT],
            Kind::Recursive => &[WatcherType::PERSISTENT_RECURSIVE],
        }
    }

    /// Whether what has become of the znode should have been told.
    pub(crate) fn must_have_fired(&self, stat: Option<Stat>) -> bool {
        match self.kind {
            Kind::Exist => stat.is_some(),
            Kind::Data => stat.is_none_or(|stat| stat.mzxid > self.since),
            Kind::Child => stat.is_none_or(|stat| stat.pzxid > self.since),
            Kind::Persistent | Kind::Recursive => false,
        }
    }
}

#[derive(Clone, Debug)]
struct Live {
    path: Ustring,
    kind: Kind,
    /// The zxid of the answer that left it: what the application knew then.
    since: Zxid,
    /// As the application names the znode.
    asked: Ustring,
    /// Its connection was lost, and it isn't known to be armed again: what the application can have known then.
    lost_at: Option<Zxid>,
}

impl Live {
    fn is_persistent(&self) -> bool {
        matches!(self.kind, Kind::Persistent | Kind::Recursive)
    }

    /// Whether it hears of what happens at this path, as the application names it.
    fn is_at(&self, path: &Ustring) -> bool {
        let below = path.as_bytes().strip_prefix(self.asked.as_bytes());
        let is_below = self.asked.as_bytes() == b"/" || below.is_some_and(|below| below.starts_with(b"/"));
        *path == self.asked || (self.kind == Kind::Recursive && is_below)
    }
}

impl WatchBook {
    pub(super) fn new(chroot: Option<String>) -> Self {
        let chroot = chroot.filter(|chroot| chroot != "/");
        Self {
            chroot,
            live: BTreeMap::new(),
            given_up: BTreeSet::new(),
            is_closing: false,
            at_connect: BTreeSet::new(),
            ended_at: BTreeSet::new(),
            gone: BTreeMap::new(),
        }
    }

    pub(super) fn live(&self) -> impl Iterator<Item = LiveWatch> {
        self.live.values().map(|live| LiveWatch {
            path: live.path.clone(),
            kind: live.kind,
            since: live.since,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    pub(super) fn given_up(&mut self, watch: RequestId) {
        self.given_up.insert(watch);
    }

    pub(super) fn closing(&mut self) {
        self.is_closing = true;
    }

    pub(super) fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// Whether one isn't among these that had its connection lost, or is going to have had.
    pub(super) fn has_unset(&self, set: &[(Ustring, Kind, Zxid)]) -> bool {
        let is_set = |live: &Live| set.iter().any(|(path, kind, _)| (path, *kind) == (&live.path, live.kind));
        self.live.values().any(|live| live.lost_at.is_some() && !is_set(live))
    }

    /// Which kind of watch hears which type of event.
    pub(super) fn sighting(&self, event: &WatchEvent) -> Option<Sighting> {
        let live = self.live.get(&event.request)?;
        Some(match (live.kind, event.event_type) {
            (Kind::Data, EventType::NODE_DELETED) => Sighting::DataWatchDeleted,
            (Kind::Data, EventType::NODE_DATA_CHANGED) => Sighting::DataWatchChanged,
            (Kind::Exist, EventType::NODE_CREATED) => Sighting::ExistWatchCreated,
            (Kind::Child, EventType::NODE_DELETED) => Sighting::ChildWatchDeleted,
            (Kind::Child, EventType::NODE_CHILDREN_CHANGED) => Sighting::ChildWatchChanged,
            (Kind::Persistent, EventType::NODE_CREATED) => Sighting::PersistentWatchCreated,
            (Kind::Persistent, EventType::NODE_DELETED) => Sighting::PersistentWatchDeleted,
            (Kind::Persistent, EventType::NODE_DATA_CHANGED) => Sighting::PersistentWatchChanged,
            (Kind::Persistent, EventType::NODE_CHILDREN_CHANGED) => Sighting::PersistentWatchChildrenChanged,
            (Kind::Recursive, EventType::NODE_CREATED) => Sighting::RecursiveWatchCreated,
            (Kind::Recursive, EventType::NODE_DELETED) => Sighting::RecursiveWatchDeleted,
            (Kind::Recursive, EventType::NODE_DATA_CHANGED) => Sighting::RecursiveWatchChanged,
            _ => return None,
        })
    }

    /// INV-33: an answer leaves a watch, or doesn't.
    pub(super) fn reply(&mut self, reply: &Reply, request: &Request) {
        let err = match &reply.result {
            Ok(_) => ErrorCode::OK,
            Err(RequestError::Refused { code, .. }) => *code,
            Err(_) => return,
        };
        let Some(kind) = kind_left(request, err).filter(|_| !self.given_up.contains(&reply.request)) else {
            return;
        };
        let asked = request.path().expect("a watch has a path").clone();
        let path = self.server_path(&asked);
        self.live.insert(reply.request, Live { path, kind, since: reply.zxid, asked, lost_at: None });
    }

    /// An event, `known` being the highest zxid that was read before it, and `handed_out` how much of the stream had
    /// left.
    pub(super) fn event(&mut self, event: &Event, known: Zxid, handed_out: u64) {
        match event {
            Event::Watch(event) => {
                let live = self.live.get(&event.request);
                let live = live.unwrap_or_else(|| panic!("INV-33, INV-36: no such watch: {event:?}"));
                assert!(hears(live.kind, event.event_type), "INV-34: {live:?}, {event:?}");
                assert!(live.is_at(&event.path), "INV-44: {live:?}, {event:?}");
                let is_persistent = live.is_persistent();
                assert!(
                    !(is_persistent && live.lost_at.is_some()),
                    "INV-41: an event before the gap is told"
                );
                let is_known = (1..=4).contains(&event.event_type.0);
                assert_eq!(event.last, !is_persistent && is_known, "INV-36, INV-46: {event:?}");
                if event.last
                    && let Some(Live { path, kind, .. }) = self.live.remove(&event.request)
                {
                    self.gone.insert((path, kind), handed_out);
                }
            }
            Event::WatchEnded { request, .. } => {
                let ended = self.live.remove(request);
                let ended = ended.unwrap_or_else(|| panic!("INV-33: {request:?} ends, and isn't there"));
                self.ended_at.insert(ended.path.clone());
                self.gone.insert((ended.path, ended.kind), handed_out);
            }
            Event::WatchesRestored { from, to } => {
                assert!(from <= to, "INV-41: {event:?}");
                let persistent = self.live.values_mut().filter(|live| live.is_persistent());
                for lost_at in persistent.filter_map(|live| live.lost_at.take()) {
                    assert!(*from <= lost_at, "INV-41: {event:?}, lost at {lost_at:?}");
                }
            }
            Event::Connected { .. } => {
                self.at_connect = self.live.values().map(|live| (live.path.clone(), live.kind)).collect();
                self.ended_at.clear();
                self.gone.clear();
            }
            Event::Ready => {
                self.at_connect.clear();
                for live in self.live.values_mut() {
                    let is_untold = live.is_persistent() && live.lost_at.is_some();
                    assert!(!is_untold, "INV-41: {live:?} isn't told of a gap");
                    live.lost_at = None;
                }
            }
            Event::Disconnected { .. } => {
                self.live.values_mut().for_each(|live| live.lost_at = live.lost_at.or(Some(known)));
            }
            _ => {}
        }
    }

    /// INV-36, INV-39, INV-44: what a SetWatches frame sets are watches, by their server paths, that were live
    /// when the connection was accepted, or when the frame began at `start` in the stream.
    pub(super) fn set_again(
        &self,
        request: &Request,
        start: u64,
        len: usize,
        max_len: usize,
    ) -> Vec<(Ustring, Kind, Zxid)> {
        let set: Vec<_> = listed(request).collect();
        assert!(len <= max_len || set.len() == 1, "INV-39: {len} bytes for {} paths", set.len());
        for (path, kind, _) in &set {
            let is_live = self.live.values().any(|live| live.path == *path && live.kind == *kind);
            let key = (path.clone(), *kind);
            let was_live = self.gone.get(&key).is_some_and(|handed_out| *handed_out > start);
            assert!(
                is_live || was_live || self.at_connect.contains(&key),
                "INV-36: {kind:?} watch of {path} is set again"
            );
        }
        set
    }

    /// INV-38: after a reconnect each live watch was set again, each once. Before 3.9 a persistent watch that has ended
    /// meanwhile had taken the place of others.
    pub(super) fn rearmed(&self, set: &[(Ustring, Kind, Zxid)]) {
        let once: Vec<_> = set.iter().filter(|(path, ..)| !self.ended_at.contains(path)).collect();
        let distinct: BTreeSet<_> = once.iter().collect();
        assert_eq!(distinct.len(), once.len(), "INV-38: a watch is set again twice: {set:?}");
        for live in self.live.values().filter(|live| live.lost_at.is_some() && !self.is_closing) {
            let mut since = set
                .iter()
                .filter(|(path, kind, _)| (path, *kind) == (&live.path, live.kind))
                .map(|set| set.2);
            let oldest = since.by_ref().min();
            assert!(oldest.is_some(), "INV-38: {live:?} isn't set again");
            assert!(oldest <= live.lost_at, "INV-40: {live:?} is set again from {oldest:?} on");
        }
    }

    /// A connection is lost on which a server had armed these again.
    pub(super) fn lost_again(&mut self, armed: &BTreeSet<(Ustring, Kind)>, known: Zxid) {
        for live in self.live.values_mut().filter(|live| live.lost_at.is_some()) {
            if armed.contains(&(live.path.clone(), live.kind)) {
                live.lost_at = Some(known);
            }
        }
    }

    /// Whether what the application asked for is what is sent: server paths, no watch where one is there.
    pub(super) fn same_on_the_wire(&self, asked: &Request, sent: &Request) -> bool {
        let falls_back = (asked.op_code(), sent.op_code()) == (OpCode::CREATE2, OpCode::CREATE);
        if asked.op_code() != sent.op_code() && !falls_back {
            return false;
        }
        if let (Request::RemoveWatches(asked), Request::RemoveWatches(sent)) = (asked, sent) {
            return asked.watcher_type == sent.watcher_type && self.server_path(&asked.path) == sent.path;
        }
        match (asked.path(), sent.path()) {
            (Some(asked), Some(sent)) => self.server_path(asked) == *sent || asked == sent,
            _ => true,
        }
    }

    pub(super) fn server_path(&self, path: &Ustring) -> Ustring {
        let (Some(chroot), Some(text)) = (&self.chroot, path.as_str()) else { return path.clone() };
        if text == "/zookeeper" || text.starts_with("/zookeeper/") {
            return path.clone();
        }
        Ustring::from(if text == "/" { chroot.clone() } else { format!("{chroot}{text}") })
    }
}

/// As the servers keep them: exists leaves a data watch on a znode that is there.
fn kind_left(request: &Request, err: ErrorCode) -> Option<Kind> {
    match (request, err) {
        (Request::Exists(exists), ErrorCode::NO_NODE) if exists.watch => Some(Kind::Exist),
        (Request::Exists(exists), ErrorCode::OK) if exists.watch => Some(Kind::Data),
        (Request::GetData(get), ErrorCode::OK) if get.watch => Some(Kind::Data),
        (Request::GetChildren(get), ErrorCode::OK) if get.watch => Some(Kind::Child),
        (Request::GetChildren2(get), ErrorCode::OK) if get.watch => Some(Kind::Child),
        (Request::AddWatch(add), ErrorCode::OK) if add.mode == AddWatchMode::PERSISTENT => {
            Some(Kind::Persistent)
        }
        (Request::AddWatch(_), ErrorCode::OK) => Some(Kind::Recursive),
        _ => None,
    }
}

fn hears(kind: Kind, event: EventType) -> bool {
    match event {
        EventType::NODE_CREATED | EventType::NODE_DATA_CHANGED => kind != Kind::Child,
        EventType::NODE_CHILDREN_CHANGED => matches!(kind, Kind::Child | Kind::Persistent),
        _ => true,
    }
}

fn listed(request: &Request) -> impl Iterator<Item = (Ustring, Kind, Zxid)> {
    let (since, lists): (Zxid, Vec<(Vector<Ustring>, Kind)>) = match request {
        Request::SetWatches(set) => {
            let SetWatches { relative_zxid, data_watches, exist_watches, child_watches } = set.clone();
            let lists =
                [(data_watches, Kind::Data), (exist_watches, Kind::Exist), (child_watches, Kind::Child)];
            (relative_zxid, lists.into())
        }
        Request::SetWatches2(set) => {
            let set: SetWatches2 = set.clone();
            let lists = [
                (set.data_watches, Kind::Data),
                (set.exist_watches, Kind::Exist),
                (set.child_watches, Kind::Child),
                (set.persistent_watches, Kind::Persistent),
                (set.persistent_recursive_watches, Kind::Recursive),
            ];
            (set.relative_zxid, lists.into())
        }
        _ => (Zxid(0), Vec::new()),
    };
    let lists =
        lists.into_iter().flat_map(|(paths, kind)| paths.to_vec().into_iter().map(move |path| (path, kind)));
    lists.map(move |(path, kind)| (path, kind, since))
}
