//! One watch: what it waits for, where it stands with the server, and what an event is to it.

use alloc::boxed::Box;

use zk_proto::{Bytes, EventType, Ustring, WatcherType, Zxid};

use crate::RequestId;

/// A watch. The path is the server's.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    pub(crate) path: Box<[u8]>,
    pub(crate) kind: WatchKind,
    pub(crate) arming: Arming,
    /// The others at the same path.
    pub(crate) next: Option<Seat>,
    pub(crate) previous: Option<Seat>,
}

impl Watch {
    /// What an event at its own path is to the watch, unless that is a recursive one; none if it doesn't hear of it.
    #[inline]
    pub(crate) fn hears(&self, event: EventType) -> Option<Hearing> {
        if !self.kind.hears(event) || self.kind == WatchKind::PersistentRecursive {
            None
        } else if self.kind == WatchKind::Persistent {
            Some(self.arming.hearing())
        } else {
            Some(if is_known(event) { Hearing::Last } else { Hearing::OneMore })
        }
    }
}

/// Where a watch is, until its roster is compacted, or one comes in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seat(pub(crate) u32);

/// What a watch waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "model", derive(Hash))]
pub(crate) enum WatchKind {
    Data,
    Exist,
    Child,
    Persistent,
    PersistentRecursive,
}

impl WatchKind {
    pub(crate) const LAST: Self = Self::PersistentRecursive;

    pub(crate) const fn is_persistent(self) -> bool {
        matches!(self, Self::Persistent | Self::PersistentRecursive)
    }

    /// Whether removeWatches of this type means such a watch.
    pub(crate) fn is_of(self, kind: WatcherType) -> bool {
        match kind {
            WatcherType::CHILDREN => self == Self::Child,
            WatcherType::DATA => matches!(self, Self::Data | Self::Exist),
            WatcherType::PERSISTENT => self == Self::Persistent,
            WatcherType::PERSISTENT_RECURSIVE => self == Self::PersistentRecursive,
            other => other == WatcherType::ANY,
        }
    }

    /// Whether the watch hears of such an event at its own path.
    fn hears(self, event: EventType) -> bool {
        match event {
            EventType::NODE_CREATED | EventType::NODE_DATA_CHANGED => {
                self != Self::Child || planted!(ChildWatchesHearData)
            }
            EventType::NODE_CHILDREN_CHANGED => matches!(self, Self::Child | Self::Persistent),
            // An event that this crate doesn't know concerns whoever watches the path.
            _ => true,
        }
    }
}

/// Where a watch stands with the server.
///
/// `checked` is the zxid up to which the server is known to have told the watch everything. It is kept apart
/// for each watch, because replies that arrive while the watches of a new connection are still being armed
/// raise the session's `last_zxid` past what the later ones have been checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "model", derive(Hash))]
pub(crate) enum Arming {
    Armed,
    /// With the connection, or without it: then no event is kept back.
    Lost {
        checked: Zxid,
        with_connection: bool,
    },
    /// In a batch that isn't answered yet.
    Sent {
        checked: Zxid,
        with_connection: bool,
    },
}

impl Arming {
    /// It goes into a batch.
    pub(crate) const fn send(&mut self) {
        if let Self::Lost { checked, with_connection } = *self {
            *self = Self::Sent { checked, with_connection };
        }
    }

    pub(crate) const fn is_sent(self) -> bool {
        matches!(self, Self::Sent { .. })
    }

    /// What an event is to a persistent watch.
    pub(crate) const fn hearing(self) -> Hearing {
        match self {
            Self::Lost { with_connection: true, .. } | Self::Sent { with_connection: true, .. } => {
                Hearing::Early
            }
            Self::Armed | Self::Lost { .. } | Self::Sent { .. } => Hearing::OneMore,
        }
    }
}

/// A watch that hears of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fired {
    pub(crate) owner: RequestId,
    pub(crate) hearing: Hearing,
}

/// What an event is to a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u64)] // As wide as what it comes with, which is moved in whole words.
pub(crate) enum Hearing {
    /// One of many.
    OneMore,
    /// The watch has ended with it.
    Last,
    /// The owner of the persistent watch hasn't been told the gap yet: the event comes after that.
    Early,
}

/// Whether the event is one of the four that servers send, after which one-time watches are gone there.
pub(crate) fn is_known(event: EventType) -> bool {
    if planted!(UnknownEventsEnd) {
        return true;
    }
    (EventType::NODE_CREATED.0..=EventType::NODE_CHILDREN_CHANGED.0).contains(&event.0)
}

/// A path as the protocol has it.
pub(crate) fn wire_path(path: &[u8]) -> Ustring {
    Ustring::from_bytes(Bytes::copy_from_slice(path))
}
