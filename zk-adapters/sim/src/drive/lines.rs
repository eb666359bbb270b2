//! A session's configuration and inputs as the lines that [`Drive`](super::Drive) reads.

use core::time::Duration;

use serde_json::{Map, Value, json};
use zk_session::{
    AuthInfo, Config, Credentials, Expiry, Instant, OnLoss, RequestOptions, Retry, ServerOrder,
    zk_proto::{ConnectString, Request},
};

use super::{actions::hex, blank::Secrets, operations::operation};

/// The first line: what isn't as it is by default.
pub(super) fn config(config: &Config, secrets: &mut Secrets) -> Value {
    let usual = Config::new(config.connect_string.clone());
    let mut fields = Map::new();
    let mut tell = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    tell("connect_string", config.connect_string.to_string().into());
    tell("session_timeout_ms", millis(config.session_timeout));
    tell("seed", config.seed.into());
    if config.read_only {
        tell("read_only", true.into());
    }
    for (name, limit, usual) in limits(config, &usual) {
        if limit != usual {
            tell(name, limit.into());
        }
    }
    if config.backoff != usual.backoff {
        tell("backoff_ms", json!([millis(config.backoff.0), millis(config.backoff.1)]));
    }
    if config.close_timeout != usual.close_timeout {
        tell("close_timeout_ms", millis(config.close_timeout));
    }
    if let Some(order) = server_order(&config.server_order) {
        tell("server_order", order);
    }
    if config.on_loss == OnLoss::NewSession {
        tell("on_loss", "new_session".into());
    }
    if config.expiry == Expiry::Client {
        tell("expiry", "client".into());
    }
    if let Some(credentials) = &config.resume {
        tell("resume", resume(credentials));
    }
    if !config.auth.is_empty() {
        tell("auth", config.auth.iter().map(|info| Value::from(auth(info, secrets))).collect());
    }
    if config.sasl.is_some() {
        tell("sasl", json!({ "mechanism": "recorded" }));
    }
    tell("auto_sent", false.into());
    json!({ "config": fields })
}

/// The name of each limit, what it is, and what it is by default.
fn limits(config: &Config, usual: &Config) -> [(&'static str, usize, usize); 9] {
    [
        ("max_frame_len", config.max_frame_len, usual.max_frame_len),
        ("max_queued_requests", config.max_queued_requests, usual.max_queued_requests),
        ("max_queued_bytes", config.max_queued_bytes, usual.max_queued_bytes),
        ("max_in_flight", config.max_in_flight, usual.max_in_flight),
        ("max_request_len", config.max_request_len, usual.max_request_len),
        ("max_watches", config.max_watches, usual.max_watches),
        ("max_send_len", config.max_send_len, usual.max_send_len),
        ("max_set_watches_len", config.max_set_watches_len, usual.max_set_watches_len),
        ("min_frame_rate", config.min_frame_rate as usize, usual.min_frame_rate as usize),
    ]
}

fn server_order(order: &ServerOrder) -> Option<Value> {
    match order {
        ServerOrder::Shuffled => None,
        ServerOrder::PreferredFirst(servers) => {
            Some(servers.iter().map(ToString::to_string).collect::<Vec<_>>().into())
        }
        _ => Some("as_listed".into()),
    }
}

fn resume(credentials: &Credentials) -> Value {
    json!({
        "session_id": credentials.session_id.to_string(),
        "password": hex(&vec![0; credentials.password.len()]),
        "last_zxid": credentials.last_zxid.to_string(),
    })
}

pub(super) fn auth(info: &AuthInfo, secrets: &mut Secrets) -> Map<String, Value> {
    let blank = secrets.auth(info);
    Map::from_iter([("scheme".to_owned(), blank.scheme.into()), ("auth".to_owned(), hex(&blank.auth).into())])
}

pub(super) fn submit(tag: &str, request: &Request, options: &RequestOptions, now: Instant) -> Value {
    let mut fields = json!({ "tag": tag });
    if let (Value::Object(fields), Value::Object(operation)) = (&mut fields, operation(request)) {
        fields.extend(operation);
    }
    if let Some(deadline) = options.deadline {
        fields["deadline_ms"] = millis(deadline - now);
    }
    if options.retry == Retry::WhenSafe {
        fields["retry"] = "when_safe".into();
    }
    if let Some(epoch) = options.epoch {
        fields["epoch"] = epoch.into();
    }
    json!({ "submit": fields })
}

pub(super) fn update_servers(servers: &ConnectString) -> Value {
    json!({ "update_servers": { "connect_string": servers.to_string() } })
}

/// Whole milliseconds, rounded up: what is due at a moment is due at the next whole one too.
pub(super) fn whole_millis(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX))
}

fn millis(time: Duration) -> Value {
    u64::try_from(whole_millis(time).as_millis()).unwrap_or(u64::MAX).into()
}
