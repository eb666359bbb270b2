//! What comes out of a session, as JSON.

use serde_json::{Value, json};
use zk_session::{
    Action, Delivery, DisconnectReason, Event, ExpiredBy, ExpiredReason, Failure, Reply, RequestError, State,
    SubmitError, Timer, WatchEndReason, WatchEvent,
    zk_proto::{ErrorCode, EventType, KeeperState, MultiResponse, OpResult, Response, Stat, Ustring, Vector},
};

use super::Tags;

pub(super) fn action(action: &Action, tags: &Tags) -> Value {
    match action {
        Action::Connect { connection, server } => {
            json!({ "connect": { "connection": connection.get(), "server": server.to_string() } })
        }
        Action::Send { connection, bytes } => {
            json!({ "send": { "connection": connection.get(), "hex": hex(bytes) } })
        }
        Action::Disconnect { connection, reason } => {
            json!({ "disconnect": { "connection": connection.get(), "reason": disconnect_reason(reason) } })
        }
        Action::Probe { probe, server } => {
            json!({ "probe": { "probe": probe.get(), "server": server.to_string() } })
        }
        Action::Emit(event) => emitted(event, tags),
    }
}

fn emitted(event: &Event, tags: &Tags) -> Value {
    match event {
        Event::Reply(reply) => json!({ "reply": outcome(reply, tags) }),
        Event::Watch(watch) => json!({ "watch": watch_event(watch, tags) }),
        Event::WatchEnded { request, path, reason } => {
            let mut ended = json!({ "tag": tags.name(*request), "path": text(path) });
            match reason {
                WatchEndReason::RearmFailed(code) => {
                    ended["reason"] = json!("rearm_failed");
                    ended["code"] = json!(code.0);
                }
                other => ended["reason"] = json!(snake_case(&format!("{other:?}"))),
            }
            json!({ "watch_ended": ended })
        }
        Event::WatchesRestored { from, to } => {
            json!({ "watches_restored": { "gap": { "from": from.to_string(), "to": to.to_string() } } })
        }
        Event::AllServersFailed { attempts, last_reason } => {
            let last_reason = disconnect_reason(last_reason);
            json!({ "all_servers_failed": { "attempts": attempts, "last_reason": last_reason } })
        }
        Event::AbandonedCreate { request, path } => {
            json!({ "abandoned_create": { "tag": tags.name(*request), "path": text(path) } })
        }
        Event::Late { by } => json!({ "late": { "by_ms": by.as_nanos().div_ceil(1_000_000) as u64 } }),
        other => json!({ "state": state_event(other) }),
    }
}

fn state_event(event: &Event) -> Value {
    match event {
        Event::Connected { session_id, negotiated_timeout, read_only, resumed, epoch } => json!({
            "to": if *read_only { "connected_read_only" } else { "connected" },
            "session_id": session_id.to_string(),
            "negotiated_timeout_ms": negotiated_timeout.as_millis() as u64,
            "read_only": read_only,
            "resumed": resumed,
            "epoch": epoch,
        }),
        Event::Ready => json!({ "to": "ready" }),
        Event::Disconnected { reason } => {
            json!({ "to": "disconnected", "reason": disconnect_reason(reason) })
        }
        Event::MayBeExpired => json!({ "to": "may_be_expired" }),
        Event::Expired { by, reason } => {
            let by = match by {
                ExpiredBy::Server => "server",
                ExpiredBy::Client => "client",
            };
            json!({ "to": "expired", "by": by, "reason": expired_reason(*reason) })
        }
        Event::AuthFailed { scheme } => json!({ "to": "auth_failed", "scheme": scheme }),
        Event::Closed { confirmed } => json!({ "to": "closed", "confirmed": confirmed }),
        other => json!({ "to": snake_case(variant(&format!("{other:?}"))) }),
    }
}

fn expired_reason(reason: ExpiredReason) -> String {
    snake_case(&format!("{reason:?}"))
}

fn watch_event(watch: &WatchEvent, tags: &Tags) -> Value {
    json!({
        "tag": tags.name(watch.request),
        "type": event_type(watch.event_type),
        "state": keeper_state(watch.state),
        "path": text(&watch.path),
        "zxid": watch.zxid.to_string(),
    })
}

fn outcome(reply: &Reply, tags: &Tags) -> Value {
    let tag = tags.name(reply.request);
    let zxid = reply.zxid.to_string();
    match &reply.result {
        Ok(answer) => json!({ "tag": tag, "zxid": zxid, "ok": response(answer) }),
        Err(RequestError::Refused { code, results }) => {
            let mut refused = refusal(*code);
            if !results.is_empty() {
                refused["results"] = results.iter().map(refused_result).collect();
            }
            json!({ "tag": tag, "zxid": zxid, "refused": refused })
        }
        Err(RequestError::Failed { failure, delivery }) => {
            json!({ "tag": tag, "failed": failed(failure, *delivery) })
        }
        Err(other) => json!({ "tag": tag, "failed": { "kind": other.to_string() } }),
    }
}

fn failed(failure: &Failure, delivery: Delivery) -> Value {
    let delivery = match delivery {
        Delivery::NotSent => "not_sent",
        Delivery::MaybeApplied => "maybe_applied",
    };
    let kind = match failure {
        Failure::ReplyTooLarge { len, .. } => {
            return json!({ "kind": "reply_too_large", "len": len, "delivery": delivery });
        }
        Failure::MalformedReply { zxid, error } => {
            let (zxid, error) = (zxid.to_string(), error.to_string());
            return json!({ "kind": "malformed_reply", "zxid": zxid, "error": error, "delivery": delivery });
        }
        Failure::WrongResultCount { .. } => {
            let error = failure.to_string();
            return json!({ "kind": "malformed_reply", "error": error, "delivery": delivery });
        }
        other => snake_case(variant(&format!("{other:?}"))),
    };
    json!({ "kind": kind, "delivery": delivery })
}

fn refusal(code: ErrorCode) -> Value {
    json!({ "code": code.0, "name": code.name().unwrap_or("unknown") })
}

fn response(response: &Response) -> Value {
    match response {
        Response::Create(answer) => json!({ "path": text(&answer.path) }),
        Response::Create2(answer) => json!({ "path": text(&answer.path), "stat": stat(&answer.stat) }),
        Response::Exists(answer) => json!({ "stat": stat(&answer.stat) }),
        Response::GetData(answer) | Response::Reconfig(answer) => {
            json!({ "data": answer.data.as_deref().map(hex), "stat": stat(&answer.stat) })
        }
        Response::SetData(answer) => json!({ "stat": stat(&answer.stat) }),
        Response::GetAcl(answer) => {
            let entries = answer.acl.iter().map(|entry| {
                json!({ "perms": entry.perms.0, "scheme": text(&entry.id.scheme), "id": text(&entry.id.id) })
            });
            json!({ "acl": if answer.acl.is_null() { Value::Null } else { entries.collect() }, "stat": stat(&answer.stat) })
        }
        Response::SetAcl(answer) => json!({ "stat": stat(&answer.stat) }),
        Response::GetChildren(answer) => json!({ "children": texts(&answer.children) }),
        Response::GetChildren2(answer) => {
            json!({ "children": texts(&answer.children), "stat": stat(&answer.stat) })
        }
        Response::Sync(answer) => json!({ "path": text(&answer.path) }),
        Response::Multi(answer) | Response::MultiRead(answer) => results(answer),
        Response::AddWatch(answer) => json!({ "err": answer.err.0 }),
        Response::GetEphemerals(answer) => json!({ "ephemerals": texts(&answer.ephemerals) }),
        Response::GetAllChildrenNumber(answer) => json!({ "total_number": answer.total_number }),
        Response::WhoAmI(answer) => {
            let infos = answer.client_info.iter();
            let infos =
                infos.map(|info| json!({ "auth_scheme": text(&info.auth_scheme), "user": text(&info.user) }));
            json!({ "client_info": infos.collect::<Value>() })
        }
        Response::Sasl(_) | Response::Empty => json!({}),
    }
}

fn results(response: &MultiResponse) -> Value {
    let results = response.results.iter().map(|result| match result {
        OpResult::Error(code) => json!({ "refused": refusal(*code) }),
        OpResult::Create(answer) => json!({ "ok": { "path": text(&answer.path) } }),
        OpResult::Create2(answer) => {
            json!({ "ok": { "path": text(&answer.path), "stat": stat(&answer.stat) } })
        }
        OpResult::SetData(answer) => json!({ "ok": { "stat": stat(&answer.stat) } }),
        OpResult::GetData(answer) => {
            json!({ "ok": { "data": answer.data.as_deref().map(hex), "stat": stat(&answer.stat) } })
        }
        OpResult::GetChildren(answer) => json!({ "ok": { "children": texts(&answer.children) } }),
        OpResult::Delete | OpResult::Check => json!({ "ok": {} }),
    });
    json!({ "results": results.collect::<Value>() })
}

/// Of a multi that wasn't applied: each operation has a code, 0 where it would have succeeded.
fn refused_result(result: &OpResult) -> Value {
    let code = if let OpResult::Error(code) = result { *code } else { ErrorCode::OK };
    json!({ "refused": refusal(code) })
}

fn stat(stat: &Stat) -> Value {
    json!({
        "czxid": stat.czxid.to_string(),
        "mzxid": stat.mzxid.to_string(),
        "ctime": stat.ctime,
        "mtime": stat.mtime,
        "version": stat.version,
        "cversion": stat.cversion,
        "aversion": stat.aversion,
        "ephemeral_owner": stat.ephemeral_owner.to_string(),
        "data_length": stat.data_length,
        "num_children": stat.num_children,
        "pzxid": stat.pzxid.to_string(),
    })
}

fn text(text: &Ustring) -> Value {
    if text.is_null() { Value::Null } else { text.to_str().into() }
}

fn texts(texts: &Vector<Ustring>) -> Value {
    if texts.is_null() { Value::Null } else { texts.iter_str().map(Value::from).collect() }
}

pub(super) fn submit_error(error: &SubmitError) -> &'static str {
    match error {
        SubmitError::QueueFull { .. } | SubmitError::TooManyWatches { .. } => "queue_full",
        SubmitError::TooLarge { .. } => "too_large",
        SubmitError::InvalidPath(_) => "invalid_path",
        SubmitError::Closed => "closed",
        SubmitError::Expired => "expired",
        SubmitError::AuthFailed => "auth_failed",
        _ => "invalid_argument",
    }
}

pub(super) fn state(state: State) -> String {
    snake_case(&format!("{state:?}"))
}

pub(super) fn timer(timer: Timer) -> String {
    snake_case(&format!("{timer:?}"))
}

fn disconnect_reason(reason: &DisconnectReason) -> String {
    snake_case(variant(&format!("{reason:?}")))
}

fn event_type(event: EventType) -> Value {
    event.name().map_or_else(|| event.0.into(), Value::from)
}

fn keeper_state(state: KeeperState) -> Value {
    state.name().map_or_else(|| state.0.into(), Value::from)
}

/// The name of the variant that a `Debug` text begins with.
fn variant(debug: &str) -> &str {
    debug.split(|char: char| !char.is_alphanumeric()).next().unwrap_or(debug)
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for (at, char) in name.char_indices() {
        if char.is_uppercase() && at > 0 {
            snake.push('_');
        }
        snake.extend(char.to_lowercase());
    }
    snake
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |digit: u8| char::from_digit(digit.into(), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
