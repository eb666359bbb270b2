//! One outcome for each request, and an honest one.

use std::collections::{BTreeMap, BTreeSet};

use zk_session::{
    ConnectionId, Delivery, DisconnectReason, Failure, Instant, Reply, RequestError, RequestId,
    RequestOptions, Retry,
    zk_proto::{ErrorCode, OpCode, Request, Response},
};

use super::Lines;
use crate::input::Input;

#[derive(Clone, Debug, Default)]
pub(super) struct Outcomes {
    entries: BTreeMap<RequestId, Entry>,
    open: BTreeSet<RequestId>,
    /// Those of the open ones that have one.
    deadlines: BTreeSet<(Instant, RequestId)>,
    /// Calls of `add_auth` among the open ones.
    open_auths: usize,
    ended: u64,
    /// The connection of the last outcome that was due in order.
    last_line: Option<ConnectionId>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// None: the identity of an auth scheme.
    request: Option<Request>,
    options: RequestOptions,
    /// The connection that it was handed out on, while that counts.
    line: Option<ConnectionId>,
    was_handed_out: bool,
    /// The accepted connection that it belongs to, from 1: the current one, or the next.
    due_on: u64,
}

impl Outcomes {
    pub(super) fn accepted(&mut self, id: RequestId, input: &Input, due_on: u64) {
        assert!(
            self.entries.keys().next_back().is_none_or(|last| *last < id),
            "INV-01: {id:?} is used twice"
        );
        let (request, options) = match input {
            Input::Submit(request, options) => (Some((**request).clone()), *options),
            _ => (None, RequestOptions::default()),
        };
        self.deadlines.extend(options.deadline.map(|deadline| (deadline, id)));
        self.open_auths += usize::from(request.is_none());
        self.entries.insert(id, Entry { request, options, line: None, was_handed_out: false, due_on });
        self.open.insert(id);
    }

    pub(super) fn accepted_count(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Calls of `add_auth` that have no outcome.
    pub(super) fn open_auths(&self) -> usize {
        self.open_auths
    }

    pub(super) fn ended_count(&self) -> u64 {
        self.ended
    }

    pub(super) fn open(&self) -> impl Iterator<Item = RequestId> {
        self.open.iter().copied()
    }

    pub(super) fn get(&self, id: RequestId) -> Option<(RequestId, &Request)> {
        Some((id, self.entries.get(&id)?.request.as_ref()?))
    }

    /// Its deadline, and whether it has no outcome yet.
    pub(super) fn due(&self, id: RequestId) -> Option<(RequestId, Option<Instant>, bool)> {
        let entry = self.entries.get(&id)?;
        Some((id, entry.options.deadline, self.open.contains(&id)))
    }

    /// The request whose turn it is behind this one.
    pub(super) fn next_after(&self, last: Option<RequestId>) -> Option<(RequestId, &Request)> {
        let first = last.map_or(core::ops::Bound::Unbounded, core::ops::Bound::Excluded);
        self.open
            .range((first, core::ops::Bound::Unbounded))
            .find_map(|id| Some((*id, self.entries[id].request.as_ref()?)))
    }

    /// INV-07: sent again only as its policy says.
    pub(super) fn handed_out(&mut self, id: RequestId, line: (ConnectionId, u64), lines: &Lines) {
        let (line, ordinal) = line;
        let entry = self.entries.get_mut(&id).expect("it was accepted");
        let earlier = lines.iter().filter(|earlier| earlier.id < line);
        let reached = earlier.filter_map(|earlier| earlier.can_have_reached(id)).any(|reached| reached);
        let op = entry.request.as_ref().map(Request::op_code);
        let may_repeat = entry.options.retry == Retry::WhenSafe && op.is_some_and(|op| READS.contains(&op));
        let fell_back = op == Some(OpCode::CREATE2);
        assert!(!reached || may_repeat || fell_back, "INV-07: {id:?} is sent twice");
        assert!(
            !entry.was_handed_out || entry.options.retry == Retry::WhenSafe || fell_back,
            "INV-07: {id:?} is sent again"
        );
        let may_return = entry.options.retry == Retry::WhenSafe || (entry.was_handed_out && fell_back);
        assert!(
            may_return || entry.due_on == ordinal,
            "INV-13: {id:?} has outlived the loss of its connection"
        );
        entry.line = Some(line);
        entry.was_handed_out = true;
    }

    /// What has no outcome by now has its turn again.
    pub(super) fn connection_lost(&mut self) {
        for id in &self.open {
            if let Some(entry) = self.entries.get_mut(id) {
                entry.line = None;
            }
        }
    }

    /// Checks an outcome; tells the request.
    pub(super) fn reply(&mut self, reply: &Reply, lines: &mut Lines, now: Instant) -> Option<Request> {
        let id = reply.request;
        assert!(self.open.remove(&id), "INV-01: {id:?} has no outcome to come: {reply:?}");
        self.ended += 1;
        let entry = &self.entries[&id];
        if let Some(deadline) = entry.options.deadline {
            self.deadlines.remove(&(deadline, id));
        }
        let Some(request) = entry.request.clone() else {
            self.open_auths -= 1;
            let delivery = reply.result.as_ref().err().and_then(RequestError::delivery);
            lines.auth_ended(id, delivery == Some(Delivery::NotSent));
            let is_loss = matches!(
                &reply.result,
                Err(RequestError::Failed { failure: Failure::ConnectionLoss | Failure::Deadline, .. })
            );
            assert!(!is_loss, "INV-77: {id:?} ends with its connection: {reply:?}");
            return None;
        };
        match &reply.result {
            Ok(response) => {
                check_answer(id, entry, lines, |header, _| header == ErrorCode::OK);
                check_results(&request, response);
            }
            Err(RequestError::Refused { code, results }) => {
                check_answer(id, entry, lines, |err, op| {
                    err == *code || (err == ErrorCode::OK && op == OpCode::MULTI)
                });
                check_multi(&request, results.len());
            }
            Err(RequestError::Failed { failure, delivery }) => {
                check_delivery(id, failure, *delivery, lines);
                let deadline = entry.options.deadline;
                assert!(
                    *failure != Failure::Deadline || deadline.is_some_and(|due| due <= now),
                    "INV-08: {id:?}"
                );
            }
            Err(other) => panic!("{other:?}"),
        }
        if is_in_order(reply) {
            self.check_order(id, lines);
        }
        Some(request)
    }

    /// INV-11.
    fn check_order(&mut self, id: RequestId, lines: &mut Lines) {
        let Some(line) = self.entries[&id].line else { return };
        assert!(self.last_line.is_none_or(|last| last <= line), "INV-11: {id:?} after a later connection's");
        self.last_line = Some(line);
        let line = lines.get_mut(line);
        let position = line.position(id);
        assert!(line.last_outcome < position, "INV-11: {id:?} ends out of order");
        line.last_outcome = position;
    }

    /// INV-08.
    pub(super) fn check_deadlines(&self, now: Instant, due: Option<Instant>) {
        let Some((deadline, id)) = self.deadlines.first() else { return };
        assert!(*deadline > now, "INV-08: {id:?} has outlived its deadline");
        assert!(due.is_some_and(|due| due <= *deadline), "INV-08: {deadline:?} isn't waited for");
    }
}

/// INV-05, INV-06: a reply with this verdict was read on the connection on which the request was sent.
fn check_answer(id: RequestId, entry: &Entry, lines: &mut Lines, fits: impl Fn(ErrorCode, OpCode) -> bool) {
    let Some(line) = entry.line else {
        // A server that answers what it has only half of.
        let has_begun = lines.live().is_some_and(|line| line.can_have_reached(id) != Some(false));
        assert!(has_begun, "INV-05: {id:?} is answered, and wasn't sent");
        return;
    };
    let op = entry.request.as_ref().map_or(OpCode::ERROR, Request::op_code);
    let header = lines.get_mut(line).header_for(id);
    assert!(header.is_some_and(|header| fits(header.err, op)), "INV-05, INV-06: {id:?}, {header:?}");
}

/// INV-10.
fn check_results(request: &Request, response: &Response) {
    let (Request::Multi(asked) | Request::MultiRead(asked)) = request else { return };
    let (Response::Multi(told) | Response::MultiRead(told)) = response else {
        panic!("INV-10: {response:?} answers a multi");
    };
    assert_eq!(told.results.len(), asked.ops.len(), "INV-10");
    let is_applied = matches!(request, Request::Multi(_));
    assert!(!is_applied || told.first_error().is_none(), "INV-10: {told:?} is told as success");
}

/// INV-10.
fn check_multi(request: &Request, results: usize) {
    if let Request::Multi(multi) = request {
        assert!(results == 0 || results == multi.ops.len(), "INV-10: {results} results");
    }
}

/// INV-03, INV-04.
fn check_delivery(id: RequestId, failure: &Failure, delivery: Delivery, lines: &Lines) {
    let reached: Vec<_> = lines.iter().map(|line| line.can_have_reached(id)).collect();
    if delivery == Delivery::NotSent {
        assert!(!reached.contains(&Some(true)), "INV-03: {id:?} was sent: {failure:?}");
        return;
    }
    // What ends by itself does so while the transport may still take it, and can be polled after it is known to have stayed.
    let ends_itself = *failure != Failure::ConnectionLoss;
    let can_have = reached.iter().any(|reached| *reached != Some(false))
        || (ends_itself && lines.iter().any(|line| line.was_handed_out(id)));
    assert!(can_have, "INV-04: {id:?} wasn't sent: {failure:?}");
    if *failure != Failure::ConnectionLoss {
        return;
    }
    let line = lines.iter().next_back().expect("a connection");
    let is_fault = line.reason.as_ref().is_some_and(is_protocol_error);
    let answered = line.header_for(id);
    assert!(is_fault || answered.is_none(), "INV-04: {id:?} was answered: {answered:?}");
}

/// Behind such an end of a connection there may be replies that nobody read.
fn is_protocol_error(reason: &DisconnectReason) -> bool {
    matches!(
        reason,
        DisconnectReason::BadFrame(_)
            | DisconnectReason::OversizeFrame { .. }
            | DisconnectReason::MalformedFrame(_)
            | DisconnectReason::UnexpectedReply { .. }
            | DisconnectReason::UnsupportedOperation { .. }
            | DisconnectReason::SessionEnded
    )
}

/// Deadlines, cancels and what servers refuse ahead of its turn come out of order.
fn is_in_order(reply: &Reply) -> bool {
    match &reply.result {
        Ok(_) => true,
        Err(RequestError::Refused { code, .. }) => !EARLY.contains(code),
        Err(RequestError::Failed { failure, .. }) => {
            !matches!(failure, Failure::Deadline | Failure::Cancelled | Failure::Unsupported { .. })
        }
        Err(_) => true,
    }
}

pub(crate) const EARLY: [ErrorCode; 5] = [
    ErrorCode::NOT_READ_ONLY,
    ErrorCode::NO_AUTH,
    ErrorCode::INVALID_ACL,
    ErrorCode::UNIMPLEMENTED,
    ErrorCode::SESSION_CLOSED_REQUIRE_SASL_AUTH,
];

const READS: [OpCode; 11] = [
    OpCode::EXISTS,
    OpCode::GET_DATA,
    OpCode::GET_ACL,
    OpCode::GET_CHILDREN,
    OpCode::GET_CHILDREN2,
    OpCode::SYNC,
    OpCode::MULTI_READ,
    OpCode::GET_EPHEMERALS,
    OpCode::GET_ALL_CHILDREN_NUMBER,
    OpCode::WHO_AM_I,
    OpCode::ADD_WATCH,
];
