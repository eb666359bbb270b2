//! From acceptance to the one outcome: what may be submitted, and how requests end that get no reply.

use alloc::{boxed::Box, vec::Vec};

use zk_proto::{ErrorCode, OpCode, Request, Response, Zxid};

use crate::{
    Delivery, DisconnectReason, Event, Failure, OnLoss, RequestError, RequestId, Retry, Session, State,
    SubmitError,
    action::Reply,
    admission,
    connection::{Connection, Owner},
    requests::{self, Accepted},
};

impl Session {
    /// Whether anything may be submitted.
    pub(crate) fn admit_any(&self) -> Result<(), SubmitError> {
        match self.state {
            State::Expired => return Err(SubmitError::Expired),
            State::AuthFailed => return Err(SubmitError::AuthFailed),
            State::Closed => return Err(SubmitError::Closed),
            State::Connecting | State::Associating | State::Connected | State::ConnectedReadOnly => {}
        }
        if self.closing { Err(SubmitError::Closed) } else { Ok(()) }
    }

    pub(crate) fn admit(&self, request: &Request) -> Result<(), SubmitError> {
        self.admit_any()?;
        admission::check(request)?;
        let limit = self.config.max_watches;
        if admission::asks_for_watch(request) && self.watches.len() + self.watches_asked_for >= limit {
            return Err(SubmitError::TooManyWatches { limit });
        }
        Ok(())
    }

    pub(crate) fn admit_epoch(&self, asked: Option<u64>) -> Result<(), SubmitError> {
        match asked {
            Some(asked) if asked != self.epoch => Err(SubmitError::StaleEpoch { asked, current: self.epoch }),
            _ => Ok(()),
        }
    }

    /// Whether the request fits into a frame and into the queue, and what may have to be queued again does.
    pub(crate) fn admit_size(&self, frame_len: usize, may_return: bool) -> Result<(), SubmitError> {
        let len = frame_len - requests::LENGTH_PREFIX;
        let limit = self.config.max_request_len.min(MAX_FRAME_LEN);
        if len > limit {
            return Err(SubmitError::TooLarge { len, limit });
        }
        let mut after = self.retryable;
        after.count(may_return, frame_len);
        if planted!(LimitsAreIgnored) {
            return Ok(());
        }
        let limit = self.config.max_queued_requests;
        if self.queue.len() >= limit || after.requests > limit {
            return Err(SubmitError::QueueFull { limit_name: "max_queued_requests", limit });
        }
        let limit = self.config.max_queued_bytes;
        if self.queue.bytes() + frame_len > limit || after.bytes > limit {
            return Err(SubmitError::QueueFull { limit_name: "max_queued_bytes", limit });
        }
        Ok(())
    }

    pub(crate) fn accepted_mut(&mut self, id: RequestId) -> Option<&mut Accepted> {
        if let Some(accepted) = self.queue.get_mut(id) {
            return Some(accepted);
        }
        match self.connection.as_mut()?.find(id)? {
            Owner::Request(accepted) => Some(accepted),
            Owner::Abandoned(_)
            | Owner::SetWatches(_)
            | Owner::CloseSession
            | Owner::Sasl
            | Owner::Unwatch => None,
        }
    }

    /// Ends a request that nothing else has ended; a reply that still comes is swallowed.
    pub(crate) fn give_up(&mut self, id: RequestId, failure: &Failure) {
        if let Some(accepted) = self.queue.remove(id) {
            self.fail_queued(accepted, failure.clone());
            return;
        }
        let Some(owner) = self.connection.as_mut().and_then(|connection| connection.find(id)) else {
            return self.give_up_auth(id, failure);
        };
        if let Owner::Request(accepted) = owner.clone() {
            *owner = Owner::Abandoned(accepted.clone());
            self.fail(accepted, failure.clone(), Delivery::MaybeApplied);
        }
        if planted!(LateRepliesAreStrangers) {
            self.connection.iter_mut().for_each(Connection::forget_abandoned);
        }
    }

    /// Puts an accepted request into the queue, and keeps what will be needed of it again.
    pub(crate) fn enqueue(&mut self, mut accepted: Accepted, request: &mut Request) {
        // On an earlier connection another operation may have stood in for it.
        accepted.op = request.op_code();
        if self.is_needed_again(&accepted) {
            accepted.retained = Some(Box::new(request.clone()));
        }
        accepted.is_covered = accepted.asks_for_watch && self.is_covered(request);
        if accepted.is_covered {
            admission::take_watch(request);
        }
        self.queue.push(accepted, request);
    }

    /// Whether the request can be queued again when a connection is lost: by its policy, or because create stands in
    /// for it.
    pub(crate) fn may_return(&self, request: &Request, retry: Retry) -> bool {
        retry == Retry::WhenSafe || (request.op_code() == OpCode::CREATE2 && !self.dialects.has_create2)
    }

    fn is_needed_again(&self, accepted: &Accepted) -> bool {
        accepted.asks_for_watch
            || planted!(QueueSurvivesTheLoss)
            || accepted.retry == Retry::WhenSafe
            || accepted.op == OpCode::REMOVE_WATCHES
            || (accepted.op == OpCode::CREATE2 && !self.dialects.has_create2)
    }

    /// Whether a persistent watch of the session's own hears for the one-time watch that is asked for. Before
    /// 3.9 a server would take the one-time watch for the persistent one's end.
    fn is_covered(&self, request: &Request) -> bool {
        let left = admission::watch_left(request, ErrorCode::OK);
        left.is_some_and(|(path, kind)| !kind.is_persistent() && self.watches.cover(&path, kind))
    }

    /// A connection that was accepted is lost: what was sent on it or waited behind ends with it, unless it
    /// may be sent again.
    pub(crate) fn fail_or_requeue(&mut self, mut connection: Connection, reason: &DisconnectReason) {
        let reached = connection.window.reached();
        let mut again = self.dialects.take_refused();
        if planted!(LossReversesOrder) {
            connection.in_flight.make_contiguous().reverse();
        }
        for frame in core::mem::take(&mut connection.in_flight) {
            let is_fruitless = connection.was_fruitless(&frame);
            if let Owner::Request(mut accepted) = frame.owner {
                let is_reached = frame.start < reached;
                let delivery = Delivery::of(accepted.was_sent || is_reached);
                if !is_fruitless {
                    accepted.fruitless = 0;
                } else if is_reached && !reason.is_own_choice() {
                    accepted.fruitless += 1;
                }
                self.fail_or_keep(accepted, delivery, &mut again);
            }
        }
        for accepted in self.queue.take_all() {
            if planted!(OutcomesAreDropped) {
                continue;
            }
            let delivery = Delivery::of(accepted.was_sent);
            self.fail_or_keep(accepted, delivery, &mut again);
        }
        if planted!(RetriesChangeOrder) {
            again.reverse();
        }
        for (accepted, mut request) in again {
            self.enqueue(accepted, &mut request);
        }
    }

    fn fail_or_keep(
        &mut self,
        mut accepted: Accepted,
        delivery: Delivery,
        again: &mut Vec<(Accepted, Request)>,
    ) {
        let only_reads = admission::only_reads(accepted.op) || planted!(WritesAreRepeated);
        let is_safe = delivery == Delivery::NotSent || only_reads;
        let survives = planted!(QueueSurvivesTheLoss) && delivery == Delivery::NotSent;
        let may_retry = (accepted.retry == Retry::WhenSafe || survives)
            && accepted.fruitless < MAX_FRUITLESS
            && self.config.on_loss == OnLoss::Resume;
        match accepted.retained.take().filter(|_| is_safe && may_retry) {
            Some(request) => {
                accepted.was_sent |= delivery == Delivery::MaybeApplied;
                again.push((accepted, *request));
            }
            None => self.fail(accepted, Failure::ConnectionLoss, delivery),
        }
    }

    /// Ends a request that isn't on the current connection.
    pub(crate) fn fail_queued(&mut self, accepted: Accepted, failure: Failure) {
        let delivery = Delivery::of(accepted.was_sent);
        self.fail(accepted, failure, delivery);
    }

    pub(crate) fn fail(&mut self, accepted: Accepted, failure: Failure, delivery: Delivery) {
        // What an earlier connection took counts, whatever became of it on this one.
        let was_sent = accepted.was_sent || delivery == Delivery::MaybeApplied;
        let error = self.failure(failure, Delivery::of(was_sent));
        self.outcome(&accepted, Zxid(0), Err(error));
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
        self.retryable.discount(accepted);
        if let Some(deadline) = accepted.deadline {
            self.remove_deadline(deadline, accepted.id);
        }
    }

    /// Tells an outcome, and counts it.
    #[inline]
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
        self.requests += 1;
        RequestId(self.requests)
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
