//! What a line of input says.

use core::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use zk_session::{
    AuthInfo, Config, ConnectionId, Credentials, DigestMd5, Expiry, Instant, OnLoss, ProbeId, RequestOptions,
    Retry, Sasl, ServerOrder,
    zk_proto::{ConnectString, Request, SessionId, Zxid},
};

use super::{
    fields::{Fields, InputError, boolean, hex, id, number, objects, text},
    requests,
    sasl::{self, Step, Steps},
};

/// What happens in a line.
pub(super) enum Act {
    Connected { connection: ConnectionId },
    Received { connection: ConnectionId, bytes: Bytes, steps: Vec<Step> },
    Sent { connection: ConnectionId, count: usize },
    Disconnected { connection: ConnectionId },
    Probed { probe: ProbeId, read_write: bool },
    Timeout,
    Submit { tag: String, request: Box<Request>, options: Options },
    Cancel { tag: String },
    RemoveWatch { tag: String },
    AddAuth { tag: String, info: AuthInfo },
    UpdateServers { connect_string: ConnectString },
    Close,
}

/// A request's options, its deadline counted from the line that submits it.
pub(super) struct Options {
    deadline: Option<Duration>,
    retry: Retry,
    epoch: Option<u64>,
}

impl Options {
    pub(super) fn at(&self, now: Instant) -> RequestOptions {
        let mut options = RequestOptions::default().with_retry(self.retry);
        options.epoch = self.epoch;
        self.deadline.map_or(options, |deadline| options.with_deadline(now + deadline))
    }
}

/// What is left of a line without its time.
pub(super) fn act(line: Fields) -> Result<Act, InputError> {
    let (name, value) = line.only()?;
    let mut fields = Fields::new(&name, value)?;
    let act = match name.as_str() {
        "connected" => Act::Connected { connection: connection(&mut fields)? },
        "received" => Act::Received {
            connection: connection(&mut fields)?,
            bytes: fields.required("hex", hex)?,
            steps: fields
                .optional("sasl", objects)?
                .unwrap_or_default()
                .into_iter()
                .map(Step::read)
                .collect::<Result<_, _>>()?,
        },
        "sent" => Act::Sent { connection: connection(&mut fields)?, count: fields.number("count")? },
        "disconnected" => Act::Disconnected { connection: connection(&mut fields)? },
        "probed" => Act::Probed {
            probe: ProbeId::from_number(fields.number("probe")?),
            read_write: fields.required("read_write", boolean)?,
        },
        "timeout" => Act::Timeout,
        "submit" => submit(&mut fields)?,
        "cancel" => Act::Cancel { tag: fields.text("tag")? },
        "remove_watch" => Act::RemoveWatch { tag: fields.text("tag")? },
        "add_auth" => Act::AddAuth { tag: fields.text("tag")?, info: auth_info(&mut fields)? },
        "update_servers" => Act::UpdateServers { connect_string: connect_string(&mut fields)? },
        "close" => Act::Close,
        _ => return Err(InputError::new(&name, "unknown field")),
    };
    fields.end()?;
    Ok(act)
}

fn connection(fields: &mut Fields) -> Result<ConnectionId, InputError> {
    fields.number("connection").map(ConnectionId::from_number)
}

fn submit(fields: &mut Fields) -> Result<Act, InputError> {
    let tag = fields.text("tag")?;
    let deadline = fields.optional("deadline_ms", number)?.map(Duration::from_millis);
    let retry = match fields.optional("retry", text)?.as_deref() {
        None | Some("never") => Retry::Never,
        Some("when_safe") => Retry::WhenSafe,
        Some(other) => {
            return Err(InputError::new("retry", format!("{other:?} is neither never nor when_safe")));
        }
    };
    let epoch = fields.optional("epoch", number)?;
    let request = Box::new(requests::request(fields)?);
    Ok(Act::Submit { tag, request, options: Options { deadline, retry, epoch } })
}

fn auth_info(fields: &mut Fields) -> Result<AuthInfo, InputError> {
    Ok(AuthInfo { scheme: fields.text("scheme")?, auth: fields.required("auth", hex)? })
}

fn connect_string(fields: &mut Fields) -> Result<ConnectString, InputError> {
    let text = fields.text("connect_string")?;
    text.parse().map_err(|error| InputError::new("connect_string", error))
}

/// The first line's configuration, and whether each send counts as taken at once.
pub(super) fn config(mut fields: Fields, steps: &Steps) -> Result<(Config, bool), InputError> {
    let mut config = Config::new(connect_string(&mut fields)?);
    config.session_timeout = Duration::from_millis(fields.number("session_timeout_ms")?);
    config.seed = fields.number("seed")?;
    config.read_only = fields.flag("read_only")?;
    limits(&mut config, &mut fields)?;
    config.resume = fields.optional("resume", resume)?;
    for mut auth in fields.optional("auth", objects)?.unwrap_or_default() {
        config.auth.push(auth_info(&mut auth)?);
        auth.end()?;
    }
    let seed = config.seed;
    config.sasl = fields.optional("sasl", |name, value| sasl(name, value, seed, steps))?;
    policies(&mut config, &mut fields)?;
    let auto_sent = fields.optional("auto_sent", boolean)?.unwrap_or(true);
    fields.end()?;
    Ok((config, auto_sent))
}

fn policies(config: &mut Config, fields: &mut Fields) -> Result<(), InputError> {
    config.expiry = match fields.optional("expiry", text)?.as_deref() {
        None | Some("server") => Expiry::Server,
        Some("client") => Expiry::Client,
        Some(other) => {
            return Err(InputError::new("expiry", format!("{other:?} is neither server nor client")));
        }
    };
    config.on_loss = match fields.optional("on_loss", text)?.as_deref() {
        None | Some("resume") => OnLoss::Resume,
        Some("new_session") => OnLoss::NewSession,
        Some(other) => {
            return Err(InputError::new("on_loss", format!("{other:?} is neither resume nor new_session")));
        }
    };
    config.server_order = fields.optional("server_order", server_order)?.unwrap_or_default();
    Ok(())
}

fn server_order(name: &str, value: Value) -> Result<ServerOrder, InputError> {
    match value {
        Value::Array(servers) => {
            let server =
                |server: Value| text(name, server)?.parse().map_err(|error| InputError::new(name, error));
            Ok(ServerOrder::PreferredFirst(
                servers.into_iter().map(server).collect::<Result<_, InputError>>()?,
            ))
        }
        Value::String(order) if order == "shuffled" => Ok(ServerOrder::Shuffled),
        Value::String(order) if order == "as_listed" => Ok(ServerOrder::AsListed),
        other => {
            Err(InputError::new(name, format!("{other} is not shuffled, as_listed, or a list of servers")))
        }
    }
}

fn limits(config: &mut Config, fields: &mut Fields) -> Result<(), InputError> {
    let limits = [
        ("max_frame_len", &mut config.max_frame_len),
        ("max_queued_requests", &mut config.max_queued_requests),
        ("max_queued_bytes", &mut config.max_queued_bytes),
        ("max_in_flight", &mut config.max_in_flight),
        ("max_request_len", &mut config.max_request_len),
        ("max_watches", &mut config.max_watches),
        ("max_send_len", &mut config.max_send_len),
        ("max_set_watches_len", &mut config.max_set_watches_len),
    ];
    for (name, limit) in limits {
        *limit = fields.optional(name, number)?.unwrap_or(*limit);
    }
    config.min_frame_rate = fields.optional("min_frame_rate", number)?.unwrap_or(config.min_frame_rate);
    config.backoff = fields.optional("backoff_ms", two_times)?.unwrap_or(config.backoff);
    let close_timeout = fields.optional("close_timeout_ms", number)?.map(Duration::from_millis);
    config.close_timeout = close_timeout.unwrap_or(config.close_timeout);
    Ok(())
}

fn two_times(name: &str, value: Value) -> Result<(Duration, Duration), InputError> {
    match value.as_array().map(Vec::as_slice) {
        Some([shortest, longest]) => {
            let time = |value: &Value| number(name, value.clone()).map(Duration::from_millis);
            Ok((time(shortest)?, time(longest)?))
        }
        _ => Err(InputError::new(name, format!("{value} is not a list of two times"))),
    }
}

fn resume(name: &str, value: Value) -> Result<Credentials, InputError> {
    let mut fields = Fields::new(name, value)?;
    let credentials = Credentials {
        session_id: SessionId(fields.required("session_id", id)?),
        password: fields.required("password", hex)?,
        last_zxid: Zxid(fields.required("last_zxid", id)?),
    };
    fields.end()?;
    Ok(credentials)
}

fn sasl(name: &str, value: Value, seed: u64, steps: &Steps) -> Result<Sasl, InputError> {
    let mut fields = Fields::new(name, value)?;
    let mechanism = fields.text("mechanism")?;
    if mechanism == "recorded" {
        fields.end()?;
        return Ok(sasl::recorded(steps.clone()));
    }
    if mechanism != "digest_md5" {
        return Err(InputError::new("mechanism", format!("{mechanism:?} is not digest_md5")));
    }
    let (username, password) = (fields.text("username")?, fields.text("password")?);
    fields.end()?;
    // A transcript replays to the byte, so its nonces follow from its seed.
    Ok(Sasl::new(DigestMd5::new(&username, &password, &seed.to_be_bytes())))
}
