//! What sessions tell, by name.

use zk_session::{Delivery, Event, ExpiredBy, ExpiredReason, Failure, Reply, RequestError, WatchEndReason};

/// None for what is counted elsewhere.
pub(super) fn of(event: &Event) -> Option<&'static str> {
    Some(match event {
        Event::Reply(reply) => reply_name(reply),
        Event::Watch(_) => return None,
        Event::WatchEnded { reason, .. } => match reason {
            WatchEndReason::RearmFailed(_) => "watch ended, rearm failed",
            WatchEndReason::SessionEnded => "watch ended, session ended",
            _ => "watch ended, removed",
        },
        Event::Connected { resumed, read_only, .. } => match (resumed, read_only) {
            (false, false) => "connected anew",
            (false, true) => "connected anew, read-only",
            (true, false) => "connected again",
            (true, true) => "connected again, read-only",
        },
        Event::Closed { confirmed: true } => "closed, confirmed",
        Event::Closed { confirmed: false } => "closed, unconfirmed",
        Event::Expired { by: ExpiredBy::Client, .. } => "expired, client: silence",
        Event::Expired { reason: ExpiredReason::Replaced, .. } => "expired, server: replaced",
        Event::Expired { .. } => "expired, server: refused",
        Event::WatchesRestored { .. } => "watches restored",
        Event::Ready => "ready",
        Event::Disconnected { .. } => "disconnected",
        Event::AllServersFailed { .. } => "all servers failed",
        Event::MayBeExpired => "may be expired",
        Event::AbandonedCreate { .. } => "abandoned create",
        Event::AuthFailed { .. } => "auth failed",
        Event::Late { .. } => "late",
        _ => "another event",
    })
}

fn reply_name(reply: &Reply) -> &'static str {
    match &reply.result {
        Ok(_) => "reply ok",
        Err(RequestError::Refused { results, .. }) if results.is_empty() => "reply refused",
        Err(RequestError::Refused { .. }) => "reply multi refused",
        Err(RequestError::Failed { failure, delivery: Delivery::NotSent }) => not_sent(failure),
        Err(RequestError::Failed { failure, delivery: Delivery::MaybeApplied }) => maybe_applied(failure),
        Err(_) => "another reply",
    }
}

fn not_sent(failure: &Failure) -> &'static str {
    match failure {
        Failure::ConnectionLoss => "reply connection loss, not sent",
        Failure::Deadline => "reply deadline, not sent",
        Failure::Cancelled => "reply cancelled, not sent",
        Failure::SessionExpired => "reply expired, not sent",
        Failure::AuthFailed => "reply auth failed, not sent",
        Failure::Closed => "reply closed, not sent",
        Failure::Unsupported { .. } => "reply unsupported, not sent",
        _ => "another reply, not sent",
    }
}

fn maybe_applied(failure: &Failure) -> &'static str {
    match failure {
        Failure::ConnectionLoss => "reply connection loss, maybe applied",
        Failure::Deadline => "reply deadline, maybe applied",
        Failure::Cancelled => "reply cancelled, maybe applied",
        Failure::SessionExpired => "reply expired, maybe applied",
        Failure::AuthFailed => "reply auth failed, maybe applied",
        Failure::Closed => "reply closed, maybe applied",
        Failure::Unsupported { .. } => "reply unsupported, maybe applied",
        Failure::ReplyTooLarge { .. } => "reply too large, maybe applied",
        Failure::WrongResultCount { .. } => "reply wrong result count, maybe applied",
        Failure::MalformedReply { .. } => "reply malformed, maybe applied",
        _ => "another reply, maybe applied",
    }
}

/// What sessions must have told in enough runs.
pub(super) const EXPECTED: [&str; 40] = [
    "abandoned create",
    "all servers failed",
    "auth failed",
    "closed, confirmed",
    "closed, unconfirmed",
    "connected again",
    "connected again, read-only",
    "connected anew",
    "connected anew, read-only",
    "disconnected",
    "expired, client: silence",
    "expired, server: refused",
    "expired, server: replaced",
    "late",
    "may be expired",
    "ready",
    "reply auth failed, maybe applied",
    "reply auth failed, not sent",
    "reply cancelled, maybe applied",
    "reply cancelled, not sent",
    "reply closed, maybe applied",
    "reply closed, not sent",
    "reply connection loss, maybe applied",
    "reply connection loss, not sent",
    "reply deadline, maybe applied",
    "reply deadline, not sent",
    "reply expired, maybe applied",
    "reply expired, not sent",
    "reply malformed, maybe applied",
    "reply multi refused",
    "reply ok",
    "reply refused",
    "reply too large, maybe applied",
    "reply unsupported, maybe applied",
    "reply unsupported, not sent",
    "reply wrong result count, maybe applied",
    "watch ended, rearm failed",
    "watch ended, removed",
    "watch ended, session ended",
    "watches restored",
];
