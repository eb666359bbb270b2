//! Requests as the operations that they are by name.

use serde_json::{Value, json};
use zk_session::zk_proto::{
    Acl, AddWatchMode, AuthPacket, BytesMut, CreateMode, CreateRequest, GetSaslRequest, Multi, Op,
    ReconfigRequest, Request, Ustring, Vector, WatcherType,
};

use super::actions::hex;

/// The fields of a `submit` that tell the request: by its name, or, if it is an odd one, by its bytes.
pub(super) fn operation(request: &Request) -> Value {
    named(request).unwrap_or_else(|| other(request))
}

fn named(request: &Request) -> Option<Value> {
    Some(match request {
        Request::Create2(create) => created(create, 0, 0..=3)?,
        Request::CreateContainer(create) => created(create, 0, 4..=4)?,
        Request::CreateTtl(create) => {
            let ttl = create.ttl;
            let (path, data, acl) = (create.path.clone(), create.data.clone(), create.acl.clone());
            created(&CreateRequest { path, data, acl, flags: create.flags }, ttl, 5..=6)?
        }
        Request::Delete(delete) => {
            json!({ "op": "delete", "path": text(&delete.path)?, "version": delete.version })
        }
        Request::Exists(exists) => watched("exists", &exists.path, exists.watch)?,
        Request::GetData(get) => watched("get_data", &get.path, get.watch)?,
        Request::GetChildren(get) => watched("get_children", &get.path, get.watch)?,
        Request::GetChildren2(get) => watched("get_children2", &get.path, get.watch)?,
        Request::SetData(set) => {
            let data = set.data.as_deref().map(hex);
            json!({ "op": "set_data", "path": text(&set.path)?, "data": data, "version": set.version })
        }
        Request::GetAcl(get) => json!({ "op": "get_acl", "path": text(&get.path)? }),
        Request::SetAcl(set) => {
            json!({ "op": "set_acl", "path": text(&set.path)?, "acl": acl(&set.acl)?, "version": set.version })
        }
        Request::Sync(sync) => json!({ "op": "sync", "path": text(&sync.path)? }),
        Request::Multi(multi) => json!({ "op": "multi", "ops": ops(multi, write)? }),
        Request::MultiRead(multi) => json!({ "op": "multi_read", "ops": ops(multi, read)? }),
        Request::AddWatch(add) => {
            let mode = match add.mode {
                AddWatchMode::PERSISTENT => "persistent",
                AddWatchMode::PERSISTENT_RECURSIVE => "persistent_recursive",
                _ => return None,
            };
            json!({ "op": "add_watch", "path": text(&add.path)?, "mode": mode })
        }
        Request::RemoveWatches(remove) => typed("remove_watches", &remove.path, remove.watcher_type)?,
        Request::CheckWatches(check) => typed("check_watches", &check.path, check.watcher_type)?,
        Request::GetEphemerals(get) => {
            json!({ "op": "get_ephemerals", "prefix_path": text(&get.prefix_path)? })
        }
        Request::GetAllChildrenNumber(get) => {
            json!({ "op": "get_all_children_number", "path": text(&get.path)? })
        }
        Request::Reconfig(reconfig) => reconfigured(reconfig)?,
        Request::WhoAmI => json!({ "op": "who_am_i" }),
        _ => return None,
    })
}

/// What a session refuses, mostly: without what is secret in it.
fn other(request: &Request) -> Value {
    let request = match request {
        Request::Auth(auth) => Request::Auth(AuthPacket { auth: None, ..auth.clone() }),
        Request::Sasl(_) => Request::Sasl(GetSaslRequest { token: None }),
        other => other.clone(),
    };
    let mut record = BytesMut::new();
    request.encode(&mut record);
    json!({ "op": "other", "op_code": request.op_code().0, "hex": hex(&record) })
}

fn created(create: &CreateRequest, ttl: i64, flags: core::ops::RangeInclusive<i32>) -> Option<Value> {
    let mode = CreateMode::from_flags(create.flags, ttl).filter(|_| flags.contains(&create.flags))?;
    let name = match mode {
        CreateMode::Persistent => "persistent",
        CreateMode::Ephemeral => "ephemeral",
        CreateMode::PersistentSequential => "persistent_sequential",
        CreateMode::EphemeralSequential => "ephemeral_sequential",
        CreateMode::Container => "container",
        CreateMode::PersistentWithTtl(_) => "persistent_with_ttl",
        CreateMode::PersistentSequentialWithTtl(_) => "persistent_sequential_with_ttl",
    };
    let data = create.data.as_deref().map(hex);
    let mut fields = json!({
        "op": "create", "path": text(&create.path)?, "data": data, "acl": acl(&create.acl)?, "mode": name,
    });
    if let Some(ttl) = mode.ttl() {
        fields["ttl_ms"] = ttl.into();
    }
    Some(fields)
}

fn watched(op: &str, path: &Ustring, watch: bool) -> Option<Value> {
    Some(json!({ "op": op, "path": text(path)?, "watch": watch }))
}

fn typed(op: &str, path: &Ustring, kind: WatcherType) -> Option<Value> {
    let kind = match kind {
        WatcherType::CHILDREN => "children",
        WatcherType::DATA => "data",
        WatcherType::ANY => "any",
        _ => return None,
    };
    Some(json!({ "op": op, "path": text(path)?, "type": kind }))
}

fn reconfigured(reconfig: &ReconfigRequest) -> Option<Value> {
    let servers = |servers: &Ustring| if servers.is_null() { Some(Value::Null) } else { text(servers) };
    Some(json!({
        "op": "reconfig",
        "joining": servers(&reconfig.joining_servers)?,
        "leaving": servers(&reconfig.leaving_servers)?,
        "new_members": servers(&reconfig.new_members)?,
        "cur_config_id": reconfig.cur_config_id,
    }))
}

fn ops(multi: &Multi, op: impl Fn(&Op) -> Option<Value>) -> Option<Vec<Value>> {
    multi.ops.iter().map(op).collect()
}

fn write(op: &Op) -> Option<Value> {
    match op {
        Op::Create(create) => created(create, 0, 0..=3),
        Op::CreateContainer(create) => named(&Request::CreateContainer(create.clone())),
        Op::CreateTtl(create) => named(&Request::CreateTtl(create.clone())),
        Op::Delete(delete) => named(&Request::Delete(delete.clone())),
        Op::SetData(set) => named(&Request::SetData(set.clone())),
        Op::Check(check) => {
            Some(json!({ "op": "check", "path": text(&check.path)?, "version": check.version }))
        }
        _ => None,
    }
}

fn read(op: &Op) -> Option<Value> {
    match op {
        Op::GetData(get) if !get.watch => Some(json!({ "op": "get_data", "path": text(&get.path)? })),
        Op::GetChildren(get) if !get.watch => Some(json!({ "op": "get_children", "path": text(&get.path)? })),
        _ => None,
    }
}

fn acl(acl: &Vector<Acl>) -> Option<Vec<Value>> {
    let entry = |entry: &Acl| {
        let (scheme, id) = (text(&entry.id.scheme)?, text(&entry.id.id)?);
        Some(json!({ "perms": entry.perms.0, "scheme": scheme, "id": id }))
    };
    if acl.is_null() { None } else { acl.iter().map(|each| entry(&each)).collect() }
}

/// None if it is null, or not UTF-8: no line can tell it so.
fn text(text: &Ustring) -> Option<Value> {
    text.as_str().map(Value::from)
}
