//! What a line of input says.

use core::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use zk_session::{
    AuthInfo, Config, ConnectionId, Credentials, DigestMd5, Expiry, Instant, ProbeId, RequestOptions, Retry,
    Sasl,
    zk_proto::{ConnectString, Request, SessionId, Zxid},
};

use super::{
    fields::{Fields, InputError, boolean, hex, id, number, objects, text},
    requests,
};

/// What happens in a line.
pub(super) enum Act {
    Connected { connection: ConnectionId },
    Received { connection: ConnectionId, bytes: Bytes },
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
}

impl Options {
    pub(super) fn at(&self, now: Instant) -> RequestOptions {
        let options = RequestOptions::default().with_retry(self.retry);
        self.deadline.map_or(options, |deadline| options.with_deadline(now + deadline))
    }
}

/// What is left of a line without its time.
pub(super) fn act(line: Fields) -> Result<Act, InputError> {
    let (name, value) = line.only()?;
    let mut fields = Fields::new(&name, value)?;
    let act = match name.as_str() {
        "connected" => Act::Connected { connection: connection(&mut fields)? },
        "received" => {
            Act::Received { connection: connection(&mut fields)?, bytes: fields.required("hex", hex)? }
        }
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
    let request = Box::new(requests::request(fields)?);
    Ok(Act::Submit { tag, request, options: Options { deadline, retry } })
}

fn auth_info(fields: &mut Fields) -> Result<AuthInfo, InputError> {
    Ok(AuthInfo { scheme: fields.text("scheme")?, auth: fields.required("auth", hex)? })
}

fn connect_string(fields: &mut Fields) -> Result<ConnectString, InputError> {
    let text = fields.text("connect_string")?;
    text.parse().map_err(|error| InputError::new("connect_string", error))
}

/// The first line's configuration, and whether each send counts as taken at once.
pub(super) fn config(mut fields: Fields) -> Result<(Config, bool), InputError> {
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
    config.sasl = fields.optional("sasl", |name, value| sasl(name, value, seed))?;
    config.expiry = match fields.optional("expiry", text)?.as_deref() {
        None | Some("server") => Expiry::Server,
        Some("client") => Expiry::Client,
        Some(other) => {
            return Err(InputError::new("expiry", format!("{other:?} is neither server nor client")));
        }
    };
    let auto_sent = fields.optional("auto_sent", boolean)?.unwrap_or(true);
    fields.end()?;
    Ok((config, auto_sent))
}

fn limits(config: &mut Config, fields: &mut Fields) -> Result<(), InputError> {
    let limits = [
        ("max_frame_len", &mut config.max_frame_len),
        ("max_queued_requests", &mut config.max_queued_requests),
        ("max_queued_bytes", &mut config.max_queued_bytes),
        ("max_in_flight", &mut config.max_in_flight),
    ];
    for (name, limit) in limits {
        *limit = fields.optional(name, number)?.unwrap_or(*limit);
    }
    Ok(())
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

fn sasl(name: &str, value: Value, seed: u64) -> Result<Sasl, InputError> {
    let mut fields = Fields::new(name, value)?;
    let mechanism = fields.text("mechanism")?;
    if mechanism != "digest_md5" {
        return Err(InputError::new("mechanism", format!("{mechanism:?} is not digest_md5")));
    }
    let (username, password) = (fields.text("username")?, fields.text("password")?);
    fields.end()?;
    // A transcript replays to the byte, so its nonces follow from its seed.
    Ok(Sasl::new(DigestMd5::new(&username, &password, &seed.to_be_bytes())))
}
