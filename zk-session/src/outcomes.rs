//! From acceptance to the one outcome: what may be submitted, and how requests end that get no reply.

use alloc::vec::Vec;

use zk_proto::{ErrorCode, OpCode, Request, Response, Zxid};

use crate::{
    Delivery, DisconnectReason, Event, Failure, Instant, OnLoss, RequestError, RequestId, Retry, Session,
    State, SubmitError,
    accepted::{Accepted, Retained},
    action::Reply,
    admission::{self, Admissible},
    connection::Connection,
    requests,
};

impl Session {
    /// Whether anything may be submitted.
    #[inline]
    pub(crate) fn admit_any(&self) -> Result<(), SubmitError> {
        if self.closing || self.state.is_terminal() { Err(self.ended()) } else { Ok(()) }
    }

    fn ended(&self) -> SubmitError {
        match self.state {
            State::Expired => SubmitError::Expired,
            State::AuthFailed => SubmitError::AuthFailed,
            State::Closed
            | State::Connecting
            | State::Associating
            | State::Connected
            | State::ConnectedReadOnly => SubmitError::Closed,
        }
    }

    /// Whether the request may be submitted, to the session of this epoch.
    #[inline]
    pub(crate) fn admit(&self, request: &Request, epoch: Option<u64>) -> Result<Admissible, SubmitError> {
        self.admit_any()?;
        if let Some(asked) = epoch.filter(|&asked| asked != self.epoch) {
            return Err(SubmitError::StaleEpoch { asked, current: self.epoch });
        }
        let admissible = admission::check(request)?;
        let limit = self.config.max_watches;
        if admissible.asks_for_watch && self.watches.len() + self.watches_asked_for >= limit {
            return Err(SubmitError::TooManyWatches { limit });
        }
        Ok(admissible)
    }

    /// Whether the request fits into a frame and into the queue, and what may have to be queued again does.
    #[inline]
    pub(crate) fn admit_size(&self, frame_len: usize, may_return: bool) -> Result<(), SubmitError> {
        let len = frame_len - requests::LENGTH_PREFIX;
        let limit = self.config.max_request_len.min(MAX_FRAME_LEN);
        if len > limit {
            return Err(SubmitError::TooLarge { len, limit });
        }
        if planted!(LimitsAreIgnored) {
            return Ok(());
        }
        let limit = self.config.max_queued_requests;
        if self.requests.waiting() >= limit || may_return && self.requests.retryable.requests >= limit {
            return Err(SubmitError::QueueFull { limit_name: "max_queued_requests", limit });
        }
        let limit = self.config.max_queued_bytes;
        if self.requests.waiting_bytes() + frame_len > limit
            || may_return && self.requests.retryable.bytes + frame_len > limit
        {
            return Err(SubmitError::QueueFull { limit_name: "max_queued_bytes", limit });
        }
        Ok(())
    }

    /// The request, if it has had no outcome.
    pub(crate) fn accepted_mut(&mut self, id: RequestId) -> Option<&mut Accepted> {
        self.requests.get_mut(id)
    }

    /// Ends a request that nothing else has ended; a reply that still comes is swallowed.
    pub(crate) fn give_up(&mut self, id: RequestId, failure: &Failure) {
        match self.requests.end(id) {
            Some((ended, true)) => self.fail(&ended, failure.clone(), Delivery::MaybeApplied),
            Some((ended, false)) => self.fail_queued(&ended, failure.clone()),
            None => self.give_up_auth(id, failure),
        }
        #[cfg(feature = "planted")]
        if planted!(LateRepliesAreStrangers) {
            self.requests.forget(true);
        }
    }

    /// Puts an accepted request into the queue, and keeps what will be needed of it again.
    #[inline(always)]
    pub(crate) fn enqueue(&mut self, mut accepted: Accepted, request: &Request, retry: Retry) {
        let survives = planted!(QueueSurvivesTheLoss);
        if accepted.asks_for_watch || accepted.may_return || survives || accepted.op == OpCode::REMOVE_WATCHES
        {
            accepted.retained = Some(Retained::new(request.clone(), retry));
            self.enqueue_retained(accepted);
        } else {
            self.requests.encode(request, accepted.op, accepted.len as usize);
            self.requests.push(accepted);
        }
    }

    /// The same for one that was kept.
    #[inline(never)]
    fn enqueue_retained(&mut self, mut accepted: Accepted) {
        let Some(retained) = &mut accepted.retained else { return };
        // On an earlier connection another operation may have stood in for it.
        accepted.op = retained.request.op_code();
        retained.is_covered = accepted.asks_for_watch && self.is_covered(&retained.request);
        let len = accepted.len as usize;
        if retained.is_covered {
            self.requests.encode(&admission::without_watch(&retained.request), accepted.op, len);
        } else {
            self.requests.encode(&retained.request, accepted.op, len);
        }
        self.requests.push(accepted);
    }

    /// Whether the request can be queued again when a connection is lost: by its policy, or because create stands in
    /// for it.
    #[inline]
    pub(crate) fn may_return(&self, op: OpCode, retry: Retry) -> bool {
        retry == Retry::WhenSafe || (op == OpCode::CREATE2 && !self.dialects.has_create2)
    }

    /// Whether a persistent watch of the session's own hears for the one-time watch that is asked for. Before
    /// 3.9 a server would take the one-time watch for the persistent one's end.
    fn is_covered(&self, request: &Request) -> bool {
        let left = admission::watch_left(request, ErrorCode::OK);
        left.is_some_and(|(path, kind)| !kind.is_persistent() && self.watches.cover(&path, kind))
    }

    /// A connection that was accepted is lost: what was sent on it or waited behind ends with it, unless it
    /// may be sent again.
    pub(crate) fn fail_or_requeue(&mut self, connection: &Connection, reason: &DisconnectReason) {
        let reached = connection.window.reached();
        let mut again: Vec<_> = self.dialects.take_refused().into_iter().collect();
        let mut all = self.requests.take_all();
        if planted!(LossReversesOrder) {
            all.make_contiguous().reverse();
        }
        for entry in all {
            let (mut request, sent) = entry.taken();
            if planted!(OutcomesAreDropped) && sent.is_none() {
                continue;
            }
            let is_reached = sent.is_some_and(|sent| sent.start < reached);
            if let (Some(retained), Some(sent)) = (&mut request.retained, sent) {
                if !connection.was_fruitless(sent.start) {
                    retained.fruitless = 0;
                } else if is_reached && !reason.is_own_choice() {
                    retained.fruitless += 1;
                }
            }
            let delivery = Delivery::of(request.was_sent || is_reached);
            self.fail_or_keep(request, delivery, &mut again);
        }
        if planted!(RetriesChangeOrder) {
            again.reverse();
        }
        again.into_iter().for_each(|accepted| self.enqueue_retained(accepted));
    }

    fn fail_or_keep(&mut self, mut accepted: Accepted, delivery: Delivery, again: &mut Vec<Accepted>) {
        let only_reads = admission::only_reads(accepted.op) || planted!(WritesAreRepeated);
        let is_safe = delivery == Delivery::NotSent || only_reads;
        let survives = planted!(QueueSurvivesTheLoss) && delivery == Delivery::NotSent;
        let may_retry = accepted.retained.as_ref().is_some_and(|retained| {
            (retained.retry == Retry::WhenSafe || survives) && retained.fruitless < MAX_FRUITLESS
        });
        if is_safe && may_retry && self.config.on_loss == OnLoss::Resume {
            accepted.was_sent |= delivery == Delivery::MaybeApplied;
            again.push(accepted);
        } else {
            self.fail(&accepted, Failure::ConnectionLoss, delivery);
        }
    }

    /// Ends a request that isn't on the current connection.
    pub(crate) fn fail_queued(&mut self, accepted: &Accepted, failure: Failure) {
        self.fail(accepted, failure, Delivery::of(accepted.was_sent));
    }

    pub(crate) fn fail(&mut self, accepted: &Accepted, failure: Failure, delivery: Delivery) {
        // What an earlier connection took counts, whatever became of it on this one.
        let was_sent = accepted.was_sent || delivery == Delivery::MaybeApplied;
        let error = self.failure(failure, Delivery::of(was_sent));
        self.outcome(accepted, Zxid(0), Err(error));
    }

    /// Counts an outcome that is no answer.
    pub(crate) fn failure(&mut self, failure: Failure, delivery: Delivery) -> RequestError {
        self.stats.failed += 1;
        RequestError::Failed { failure, delivery }
    }

    /// Counts an outcome that is a server's refusal.
    pub(crate) fn refusal(&mut self, code: ErrorCode) -> RequestError {
        self.stats.refused += 1;
        let code = if planted!(CodesAreChanged) { ErrorCode::SYSTEM_ERROR } else { code };
        RequestError::Refused { code, results: Vec::new() }
    }

    /// Tells a request's one outcome.
    pub(crate) fn outcome(
        &mut self,
        accepted: &Accepted,
        zxid: Zxid,
        result: Result<Response, RequestError>,
    ) {
        self.settle(accepted);
        self.tell(accepted.id, zxid, result);
    }

    /// Takes a request that has its outcome out of the books.
    #[inline]
    pub(crate) fn settle(&mut self, accepted: &Accepted) {
        self.watches_asked_for -= usize::from(accepted.asks_for_watch);
        self.requests.retryable.discount(accepted);
        if accepted.deadline < Instant::MAX {
            self.remove_deadline(accepted.deadline, accepted.id);
        }
    }

    /// Tells an outcome, and counts it.
    #[inline(always)]
    pub(crate) fn tell(&mut self, request: RequestId, zxid: Zxid, result: Result<Response, RequestError>) {
        self.stats.ended += 1;
        if planted!(TwoOutcomes) {
            self.emit(Event::Reply(Reply { request, zxid, result: result.clone() }));
        }
        self.emit(Event::Reply(Reply { request, zxid, result }));
    }

    /// A name for what is accepted now, and counts it.
    pub(crate) fn accept(&mut self) -> RequestId {
        self.stats.accepted += 1;
        self.accepted += 1;
        RequestId(self.accepted)
    }
}

impl Delivery {
    pub(crate) fn of(was_sent: bool) -> Self {
        let was_sent = if planted!(NotSentIsGuessed) { false } else { was_sent };
        let was_sent = was_sent || planted!(MaybeAppliedIsGuessed);
        if was_sent { Self::MaybeApplied } else { Self::NotSent }
    }
}

/// Whether a frame that begins at `start` can have reached the server.
pub(crate) fn delivery(start: u64, reached: u64) -> Delivery {
    Delivery::of(start < reached)
}

/// So many connections in a row may end under a request, with no answer to any, before it is taken for the cause. The
/// election of a leader can cost two.
const MAX_FRUITLESS: u8 = 3;
/// What a frame's length can tell.
const MAX_FRAME_LEN: usize = i32::MAX as usize;
