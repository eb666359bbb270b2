//! What sessions go through that is rare, by name: a promise that is never put to the test proves nothing.

macro_rules! sightings {
    ($($sighting:ident = $name:literal,)+) => {
        /// Something that must not be too rare.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum Sighting {
            $(#[doc = $name] $sighting,)+
        }

        impl Sighting {
            /// All of them.
            pub(crate) const ALL: &[Self] = &[$(Self::$sighting,)+];

            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$sighting => $name,)+
                }
            }
        }
    };
}

sightings! {
    LostBeforeAuth = "lost between ConnectRequest and auth",
    LostBeforeSetWatches = "lost between ConnectRequest and SetWatches",
    LostBeforeRequest = "lost between ConnectRequest and request",
    LostBetweenAuths = "lost between auth and auth",
    LostBetweenAuthAndSetWatches = "lost between auth and SetWatches",
    LostBetweenAuthAndRequest = "lost between auth and request",
    LostBetweenSetWatches = "lost between SetWatches and SetWatches",
    LostBetweenSetWatchesAndRequest = "lost between SetWatches and request",
    LostBehindOnlyBatch = "lost behind batch 1 of 1",
    LostBehindFirstOfTwo = "lost behind batch 1 of 2",
    LostBehindSecondOfTwo = "lost behind batch 2 of 2",
    LostBehindFirstOfMany = "lost behind batch 1 of 3 or more",
    LostBehindSecondOfMany = "lost behind batch 2 of 3 or more",
    LostBehindThirdOfMany = "lost behind batch 3 or more of 3 or more",
    LostWithNoneInFlightAndNoByte = "lost with 0 in flight, no byte of a frame out",
    LostWithNoneInFlightAndSomeBytes = "lost with 0 in flight, some bytes of a frame out",
    LostWithNoneInFlightAndAllBytes = "lost with 0 in flight, all bytes of a frame out",
    LostWithOneInFlightAndNoByte = "lost with 1 in flight, no byte of a frame out",
    LostWithOneInFlightAndSomeBytes = "lost with 1 in flight, some bytes of a frame out",
    LostWithOneInFlightAndAllBytes = "lost with 1 in flight, all bytes of a frame out",
    LostWithManyInFlightAndNoByte = "lost with many in flight, no byte of a frame out",
    LostWithManyInFlightAndSomeBytes = "lost with many in flight, some bytes of a frame out",
    LostWithManyInFlightAndAllBytes = "lost with many in flight, all bytes of a frame out",
    ExpiredDialling = "ended by the leader while dialling",
    ExpiredBackingOff = "ended by the leader in back-off",
    ExpiredShakingHands = "ended by the leader in the handshake",
    ExpiredPriming = "ended by the leader in priming",
    ExpiredClosing = "ended by the leader while closing",
    ToldDialling = "told by a server, ended while dialling",
    ToldBackingOff = "told by a server, ended in back-off",
    ToldShakingHands = "told by a server, ended in the handshake",
    ToldPriming = "told by a server, ended in priming",
    ToldClosing = "told by a server, ended while closing",
    DeadlineAndReply = "a deadline in the step of its reply",
    CancelAheadOfReply = "a cancel in the step of its reply, ahead of it",
    CancelBehindReply = "a cancel in the step of its reply, behind it",
    EventAndReply = "an event and a reply for the same path in one chunk",
    RefusedEarlyNotReadOnly = "refused ahead of its turn: NOTREADONLY",
    RefusedEarlyNoAuth = "refused ahead of its turn: NOAUTH",
    RefusedEarlyInvalidAcl = "refused ahead of its turn: INVALIDACL",
    RefusedEarlyUnimplemented = "refused ahead of its turn: UNIMPLEMENTED",
    RefusedEarlyRequireSaslAuth = "refused ahead of its turn: SESSIONCLOSEDREQUIRESASLAUTH",
    DataWatchDeleted = "data watch: deleted",
    DataWatchChanged = "data watch: data changed",
    ExistWatchCreated = "exist watch: created",
    ChildWatchDeleted = "child watch: deleted",
    ChildWatchChanged = "child watch: children changed",
    PersistentWatchCreated = "persistent watch: created",
    PersistentWatchDeleted = "persistent watch: deleted",
    PersistentWatchChanged = "persistent watch: data changed",
    PersistentWatchChildrenChanged = "persistent watch: children changed",
    RecursiveWatchCreated = "recursive watch: created",
    RecursiveWatchDeleted = "recursive watch: deleted",
    RecursiveWatchChanged = "recursive watch: data changed",
}

/// How often a session went through each.
#[derive(Clone, Debug)]
pub(crate) struct Sightings([u64; Sighting::ALL.len()]);

impl Default for Sightings {
    fn default() -> Self {
        Self([0; Sighting::ALL.len()])
    }
}

impl Sightings {
    pub(crate) fn saw(&mut self, sighting: Sighting) {
        self.0[sighting as usize] += 1;
    }

    pub(crate) fn count(&self, sighting: Sighting) -> u64 {
        self.0[sighting as usize]
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(sum, count)| *sum += count);
    }
}
