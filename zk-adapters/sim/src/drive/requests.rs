//! Operations by name.

use serde_json::Value;
use zk_session::zk_proto::{
    Acl, AddWatchMode, AddWatchRequest, CheckVersionRequest, CheckWatchesRequest, CreateMode, DeleteRequest,
    ExistsRequest, GetAclRequest, GetAllChildrenNumberRequest, GetChildren2Request, GetChildrenRequest,
    GetDataRequest, GetEphemeralsRequest, Id, Multi, OPEN_ACL_UNSAFE, Op, OpCode, Perms, Reader,
    ReconfigRequest, RemoveWatchesRequest, Request, SetAclRequest, SetDataRequest, SyncRequest, Ustring,
    Vector, WatcherType,
};

use super::fields::{Fields, InputError, hex, hex_or_null, id, number, objects, text};

/// The request that `op` and the fields beside it name.
pub(super) fn request(fields: &mut Fields) -> Result<Request, InputError> {
    let op = fields.text("op")?;
    Ok(match op.as_str() {
        "create" => create(fields)?,
        "delete" => Request::Delete(DeleteRequest { path: path(fields)?, version: version(fields)? }),
        "exists" => Request::Exists(ExistsRequest { path: path(fields)?, watch: fields.flag("watch")? }),
        "get_data" => Request::GetData(GetDataRequest { path: path(fields)?, watch: fields.flag("watch")? }),
        "set_data" => Request::SetData(set_data(fields)?),
        "get_acl" => Request::GetAcl(GetAclRequest { path: path(fields)? }),
        "set_acl" => {
            let (path, acl) = (path(fields)?, fields.required("acl", acl)?);
            Request::SetAcl(SetAclRequest { path, acl, version: version(fields)? })
        }
        "get_children" => {
            Request::GetChildren(GetChildrenRequest { path: path(fields)?, watch: fields.flag("watch")? })
        }
        "get_children2" => {
            Request::GetChildren2(GetChildren2Request { path: path(fields)?, watch: fields.flag("watch")? })
        }
        "sync" => Request::Sync(SyncRequest { path: path(fields)? }),
        "multi" => Request::Multi(multi(fields, write)?),
        "multi_read" => Request::MultiRead(multi(fields, read)?),
        "add_watch" => Request::AddWatch(AddWatchRequest { path: path(fields)?, mode: watch_mode(fields)? }),
        "remove_watches" => {
            let (path, watcher_type) = (path(fields)?, watcher_type(fields)?);
            Request::RemoveWatches(RemoveWatchesRequest { path, watcher_type })
        }
        "check_watches" => {
            let (path, watcher_type) = (path(fields)?, watcher_type(fields)?);
            Request::CheckWatches(CheckWatchesRequest { path, watcher_type })
        }
        "get_ephemerals" => {
            Request::GetEphemerals(GetEphemeralsRequest { prefix_path: fields.text("prefix_path")?.into() })
        }
        "get_all_children_number" => {
            Request::GetAllChildrenNumber(GetAllChildrenNumberRequest { path: path(fields)? })
        }
        "reconfig" => reconfig(fields)?,
        "get_config" => {
            let path = Ustring::from_static("/zookeeper/config");
            Request::GetData(GetDataRequest { path, watch: fields.flag("watch")? })
        }
        "who_am_i" => Request::WhoAmI,
        "other" => other(fields)?,
        "check" => return Err(InputError::new("op", "check is allowed only inside a multi")),
        _ => return Err(InputError::new("op", format!("unknown operation {op:?}"))),
    })
}

/// What has no name here, by the bytes of its record.
fn other(fields: &mut Fields) -> Result<Request, InputError> {
    let (op_code, record) = (OpCode(fields.number("op_code")?), fields.required("hex", hex)?);
    Request::decode(op_code, &mut Reader::new(&record)).map_err(|error| InputError::new("hex", error))
}

fn multi(
    fields: &mut Fields,
    read: impl Fn(&mut Fields) -> Result<Op, InputError>,
) -> Result<Multi, InputError> {
    let mut ops = Vec::new();
    for mut part in fields.required("ops", objects)? {
        ops.push(read(&mut part)?);
        part.end()?;
    }
    Ok(Multi { ops })
}

fn write(fields: &mut Fields) -> Result<Op, InputError> {
    let op = fields.text("op")?;
    Ok(match op.as_str() {
        "create" => match create(fields)? {
            Request::CreateContainer(create) => Op::CreateContainer(create),
            Request::CreateTtl(create) => Op::CreateTtl(create),
            Request::Create2(create) => Op::Create(create),
            _ => return Err(InputError::new("mode", "no create mode")),
        },
        "delete" => Op::Delete(DeleteRequest { path: path(fields)?, version: version(fields)? }),
        "set_data" => Op::SetData(set_data(fields)?),
        "check" => Op::Check(CheckVersionRequest { path: path(fields)?, version: fields.number("version")? }),
        _ => return Err(InputError::new("op", format!("a multi can't do {op:?}"))),
    })
}

fn read(fields: &mut Fields) -> Result<Op, InputError> {
    let op = fields.text("op")?;
    Ok(match op.as_str() {
        "get_data" => Op::GetData(GetDataRequest { path: path(fields)?, watch: false }),
        "get_children" => Op::GetChildren(GetChildrenRequest { path: path(fields)?, watch: false }),
        _ => return Err(InputError::new("op", format!("a multi_read can't do {op:?}"))),
    })
}

fn create(fields: &mut Fields) -> Result<Request, InputError> {
    let (path, data) = (path(fields)?, fields.required("data", hex_or_null)?);
    let acl = fields.optional("acl", acl)?.unwrap_or(OPEN_ACL_UNSAFE);
    let mode = fields.optional("mode", text)?;
    let ttl = fields.optional("ttl_ms", number)?;
    let mode = mode.as_deref().unwrap_or("persistent");
    let needs_ttl = || ttl.ok_or_else(|| InputError::new("ttl_ms", "missing in submit"));
    let mode = match mode {
        "persistent" => CreateMode::Persistent,
        "ephemeral" => CreateMode::Ephemeral,
        "persistent_sequential" => CreateMode::PersistentSequential,
        "ephemeral_sequential" => CreateMode::EphemeralSequential,
        "container" => CreateMode::Container,
        "persistent_with_ttl" => CreateMode::PersistentWithTtl(needs_ttl()?),
        "persistent_sequential_with_ttl" => CreateMode::PersistentSequentialWithTtl(needs_ttl()?),
        other => return Err(InputError::new("mode", format!("unknown create mode {other:?}"))),
    };
    if ttl.is_some() && mode.ttl().is_none() {
        return Err(InputError::new("ttl_ms", "this create mode has no time to live"));
    }
    Ok(Request::create(path, data, acl, mode))
}

fn set_data(fields: &mut Fields) -> Result<SetDataRequest, InputError> {
    let (path, data) = (path(fields)?, fields.required("data", hex_or_null)?);
    Ok(SetDataRequest { path, data, version: version(fields)? })
}

fn reconfig(fields: &mut Fields) -> Result<Request, InputError> {
    let mut servers = |name: &str| {
        let text =
            fields.optional(
                name,
                |name, value| if value.is_null() { Ok(None) } else { text(name, value).map(Some) },
            );
        Ok::<_, InputError>(text?.flatten().map_or(Ustring::NULL, Ustring::from))
    };
    Ok(Request::Reconfig(ReconfigRequest {
        joining_servers: servers("joining")?,
        leaving_servers: servers("leaving")?,
        new_members: servers("new_members")?,
        cur_config_id: fields.optional("cur_config_id", config_id)?.unwrap_or(-1),
    }))
}

fn config_id(name: &str, value: Value) -> Result<i64, InputError> {
    if value.is_number() { number(name, value) } else { id(name, value) }
}

fn path(fields: &mut Fields) -> Result<Ustring, InputError> {
    fields.text("path").map(Ustring::from)
}

fn version(fields: &mut Fields) -> Result<i32, InputError> {
    Ok(fields.optional("version", number)?.unwrap_or(-1))
}

fn watch_mode(fields: &mut Fields) -> Result<AddWatchMode, InputError> {
    let mode = fields.text("mode")?;
    match mode.as_str() {
        "persistent" => Ok(AddWatchMode::PERSISTENT),
        "persistent_recursive" => Ok(AddWatchMode::PERSISTENT_RECURSIVE),
        _ => Err(InputError::new("mode", format!("{mode:?} is neither persistent nor persistent_recursive"))),
    }
}

fn watcher_type(fields: &mut Fields) -> Result<WatcherType, InputError> {
    let kind = fields.text("type")?;
    match kind.as_str() {
        "children" => Ok(WatcherType::CHILDREN),
        "data" => Ok(WatcherType::DATA),
        "any" => Ok(WatcherType::ANY),
        _ => Err(InputError::new("type", format!("{kind:?} is not children, data or any"))),
    }
}

fn acl(name: &str, value: Value) -> Result<Vector<Acl>, InputError> {
    let mut entries = Vec::new();
    for mut entry in objects(name, value)? {
        let perms = Perms(entry.number("perms")?);
        let id = Id { scheme: entry.text("scheme")?.into(), id: entry.text("id")?.into() };
        entry.end()?;
        entries.push(Acl { perms, id });
    }
    Ok(entries.into())
}
