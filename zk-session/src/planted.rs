//! Deliberate defects, one at a time: whoever says that a session keeps its promises must notice each of them.
//!
//! For tests only. Without the feature `planted` nothing of this is compiled, and `planted!(…)` is `false`.

/// Whether this defect is switched on.
#[cfg(feature = "planted")]
macro_rules! planted {
    ($defect:ident) => {
        $crate::planted::Planted::$defect.is_on()
    };
}

/// Whether this defect is switched on: never.
#[cfg(not(feature = "planted"))]
macro_rules! planted {
    ($defect:ident) => {
        false
    };
}

#[cfg(feature = "planted")]
pub use defects::Planted;

#[cfg(feature = "planted")]
mod defects {
    use core::sync::atomic::{AtomicU8, Ordering};

    macro_rules! defects {
        ($($(#[doc = $doc:literal])+ $defect:ident: $rule:literal $(or $other:literal)*,)+) => {
            /// A defect that can be planted into all sessions of a process.
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            #[non_exhaustive]
            pub enum Planted {
                $($(#[doc = $doc])+ $defect,)+
            }

            impl Planted {
                /// All of them.
                pub const ALL: &[Self] = &[$(Self::$defect,)+];

                /// The number of the rule that it breaks, and of those that are broken with it: any of them may be
                /// seen first.
                pub const fn rules(self) -> &'static [u8] {
                    match self {
                        $(Self::$defect => &[$rule $(, $other)*],)+
                    }
                }
            }
        };
    }

    defects! {
        /// A request is told its outcome twice.
        TwoOutcomes: 1 or 2,
        /// A request that waits when the connection is lost has no outcome.
        OutcomesAreDropped: 1 or 2,
        /// The numbers don't say how many requests wait.
        MiscountsTheQueue: 2,
        /// What may have been sent is said not to be.
        NotSentIsGuessed: 3,
        /// What wasn't sent is said to be, perhaps.
        MaybeAppliedIsGuessed: 4,
        /// A refusal is told as success.
        RefusalsAreOk: 5,
        /// A server's code is told as another one.
        CodesAreChanged: 6 or 5,
        /// A write that may have been sent is sent again.
        WritesAreRepeated: 7 or 3,
        /// A deadline ends its request a millisecond late.
        DeadlinesAreLate: 8,
        /// What was given up isn't expected to be answered.
        LateRepliesAreStrangers: 9 or 11 or 16,
        /// A multi that was refused is told as done.
        RefusedMultisAreOk: 10,
        /// What a lost connection ends, it ends in reverse order.
        LossReversesOrder: 11,
        /// What is sent again is sent in reverse order.
        RetriesChangeOrder: 12 or 11,
        /// What waits behind a lost request is sent on the next connection.
        QueueSurvivesTheLoss: 13 or 7 or 72,
        /// Xids begin at 0.
        XidsBeginAtZero: 14,
        /// An auth reply takes the oldest request with it.
        AuthRepliesTakeRequests: 15 or 1 or 2,
        /// A reply that fits nothing is passed over.
        MisfitsArePassedOver: 16,
        /// Of several actions the newest is polled first.
        NewestActionFirst: 17 or 1 or 2 or 11 or 18 or 19 or 27 or 31 or 32 or 33 or 36 or 37 or 41 or 61,
        /// A command changes the order of what waits to be polled.
        CommandsReorder: 17 or 1 or 2 or 11 or 18 or 19 or 27 or 31 or 32 or 33 or 36 or 37 or 41 or 61,
        /// A ping leaves with the ConnectRequest.
        PingsBeforeTheResponse: 18,
        /// On the second connection no auth is told.
        AuthsAreForgotten: 19 or 77,
        /// Each auth is told twice.
        AuthsAreToldTwice: 19 or 77,
        /// The negotiated timeout is asked for.
        NegotiatedTimeoutIsAsked: 20,
        /// A new session that is refused has expired.
        RefusedBirthsExpire: 22 or 28 or 75,
        /// A session is resumed under another id.
        AnotherIdentityIsTaken: 23 or 28,
        /// The timeout that is granted isn't the one that counts.
        GrantedTimeoutIsIgnored: 24,
        /// A third of a short timeout is no time at all.
        WaitsCanBeZero: 24 or 50 or 53,
        /// The attempt's deadline begins anew when the transport is up.
        ConnectingExtendsTheAttempt: 25,
        /// The identity that a read-only server gave is offered to others.
        ReadOnlySessionsAreResumed: 26 or 20,
        /// A read-only server is taken though nobody wants it.
        ReadOnlyIsTakenUnasked: 26,
        /// The loss of a connection is told twice.
        DisconnectedIsToldTwice: 27,
        /// A refusal for an expired session ends the session.
        ExpiredRepliesAreVerdicts: 28 or 22 or 75,
        /// The servers have heard of the session when their answer comes.
        AnswersCountWhenTheyCome: 29 or 30,
        /// The session gives itself up though nobody asked it to.
        ClientsExpireUnasked: 30,
        /// Timers go on behind the end.
        TimersOutliveTheEnd: 31,
        /// Watches end with the session, and nobody is told.
        WatchesEndInSilence: 32,
        /// A refused read leaves a watch.
        RefusedReadsLeaveWatches: 33,
        /// Child watches fire for data.
        ChildWatchesHearData: 34,
        /// Of several watches of a path one fires.
        OneWatchFires: 35 or 33 or 38 or 40,
        /// A one-time watch stays when it has fired.
        WatchesFireTwice: 36 or 33,
        /// An outcome overtakes an event that came before it.
        RepliesOvertakeEvents: 37 or 41,
        /// Child watches aren't armed again.
        ChildWatchesStayLost: 38 or 40,
        /// SetWatches frames have any length.
        BatchesAreTooLong: 39,
        /// What wasn't armed yet when the connection was lost again counts as told everything since.
        RearmsFromLastZxid: 40,
        /// Owners of persistent watches aren't told that they may have missed something.
        GapsAreUntold: 41,
        /// The gap begins where it ends.
        GapsBeginWhereTheyEnd: 41,
        /// The gap ends where it begins.
        GapsEndWhereTheyBegin: 41,
        /// An event that nobody waits for ends the connection.
        GhostsEndConnections: 42 or 16,
        /// A removal at the server takes other watches of the path with it.
        RemovesOthersWatches: 43 or 33 or 38 or 40,
        /// A watch that was given up before it was there comes nevertheless.
        GivenUpWatchesComeBack: 43 or 33 or 36,
        /// Events tell the servers' paths.
        ChrootsAreNotUndone: 44,
        /// An event of unknown type ends one-time watches.
        UnknownEventsEnd: 46 or 36,
        /// An event raises the last zxid.
        EventsRaiseZxid: 47 or 48,
        /// The last zxid is that of the last reply.
        ZxidsFall: 48,
        /// Nothing is waited for before the next attempt.
        NothingIsWaitedFor: 49,
        /// A ping that can't leave is due again at once.
        PingsSpin: 50,
        /// An early tick sends a ping.
        EarlyTicksPing: 51,
        /// A late tick takes what wasn't read for silence.
        LatenessIsSilence: 51,
        /// A clock that runs back is believed.
        TimeRunsBack: 52 or 8 or 29 or 51 or 53 or 55,
        /// Pings leave after two thirds of the session timeout.
        PingsAreLate: 53,
        /// A ping joins one that waits.
        PingsPileUp: 54,
        /// Silence is borne for a whole session timeout.
        SilenceIsBorne: 55,
        /// Only whole frames count as life.
        GrowingFramesAreSilence: 56 or 55,
        /// What is armed again is never done.
        NeverReadyAgain: 57,
        /// One server is tried over and over.
        OneServerOnly: 58,
        /// Nobody waits between attempts.
        NobodyBacksOff: 59,
        /// During a back-off nothing is done on time.
        BackOffHidesTime: 60 or 8 or 29 or 50 or 75,
        /// A connection is dropped, and nobody is told.
        ConnectionsOverlap: 61,
        /// Bytes of an earlier connection are heard.
        ThePastSpeaks: 62,
        /// A server that closes without a word has said that the session is gone.
        ClosedIsExpired: 63 or 28,
        /// A full cycle without a session isn't told.
        FailedCyclesAreUntold: 63,
        /// A piece of one byte is passed over.
        BytesAreLostAlone: 64,
        /// A frame of negative length is passed over.
        BadLengthsArePassedOver: 65 or 16 or 67,
        /// The request that an oversize reply answers goes on waiting.
        OversizeRepliesAnswerNobody: 66 or 16,
        /// A frame shorter than a header is passed over.
        ShortFramesArePassedOver: 67,
        /// A ping gets between the slices of a frame.
        SlicesAreInterrupted: 70 or 4 or 12 or 14,
        /// Bytes behind an event's record end the connection.
        LongerEventsAreMalformed: 71,
        /// Any number of requests is queued.
        LimitsAreIgnored: 72,
        /// All is looked at that a server floods with, whatever there is to tell.
        FloodsAreTakenUp: 73,
        /// closeSession overtakes what was accepted before it.
        CloseOvertakes: 74 or 54,
        /// Closing may take any time.
        CloseIsUnbounded: 75,
        /// Whatever ends a closing session is taken for a confirmation.
        CloseIsAlwaysConfirmed: 75,
        /// Credentials print their password.
        PasswordsArePrinted: 76,
        /// A lost connection ends what add_auth waits for.
        AuthsEndWithTheConnection: 77 or 19,
        /// Where a list lies in memory decides what is tried.
        AddressesAreSeeds: 78,
        /// An event of unknown type is a panic.
        UnknownEventsPanic: 79,
        /// A poll that finds nothing moves a timer.
        PollingMovesTimers: 80,
    }

    impl Planted {
        /// Plants this defect, instead of any other; none: all sessions are sound again.
        pub fn plant(defect: Option<Self>) {
            PLANTED.store(defect.map_or(SOUND, |defect| defect as u8), Ordering::Relaxed);
        }

        /// Whether this defect is planted.
        pub fn is_on(self) -> bool {
            PLANTED.load(Ordering::Relaxed) == self as u8
        }
    }

    static PLANTED: AtomicU8 = AtomicU8::new(SOUND);
    const SOUND: u8 = u8::MAX;
}
