//! The records against `schema.txt`, which was typed from ZooKeeper's documentation of the wire and not from them.

use std::collections::BTreeMap;

use zk_proto::*;

fn line<T: Record>() -> (String, String) {
    let fields: Vec<_> =
        T::FIELDS.iter().map(|field| format!("{} {}", field.jute_type, field.name)).collect();
    (T::NAME.to_owned(), fields.join(", "))
}

macro_rules! lines {
    ($($record:ident)+) => {
        [$(line::<$record>()),+]
    };
}

#[test]
fn every_record_has_the_fields_of_the_schema_and_none_is_missing() {
    let schema: BTreeMap<_, _> = include_str!("schema.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once(": ").expect("a name and fields"))
        .map(|(name, fields)| (name.to_owned(), fields.to_owned()))
        .collect();
    let records = lines!(
        Id Acl Stat ClientInfo ConnectRequest ConnectResponse RequestHeader ReplyHeader MultiHeader AuthPacket
        GetSaslRequest SetSaslResponse SetWatches SetWatches2 CreateRequest CreateTtlRequest CreateResponse
        Create2Response DeleteRequest ExistsRequest ExistsResponse GetDataRequest GetDataResponse SetDataRequest
        SetDataResponse GetAclRequest GetAclResponse SetAclRequest SetAclResponse GetChildrenRequest
        GetChildrenResponse GetChildren2Request GetChildren2Response SyncRequest SyncResponse CheckVersionRequest
        ReconfigRequest CheckWatchesRequest RemoveWatchesRequest AddWatchRequest GetEphemeralsRequest
        GetEphemeralsResponse GetAllChildrenNumberRequest GetAllChildrenNumberResponse WhoAmIResponse ErrorResponse
        WatcherEvent
    );
    assert_eq!(BTreeMap::from(records), schema);
}

/// The types of the fields on the wire, by the tree that a record shows of itself.
fn is(jute_type: &str, value: &Value) -> bool {
    match value {
        Value::Int(_) => jute_type == "int",
        Value::Long(_) => jute_type == "long",
        Value::Boolean(_) => jute_type == "boolean",
        Value::Buffer(_) => jute_type == "buffer",
        Value::Ustring(_) => jute_type == "ustring",
        Value::Vector(_) => jute_type.starts_with("vector<"),
        Value::Record(_) => jute_type.starts_with(char::is_uppercase),
    }
}

fn fields_are_what_they_say<T: Record + Default>() {
    let Value::Record(fields) = T::default().to_value() else { panic!("{} is no record", T::NAME) };
    for (field, (name, value)) in T::FIELDS.iter().zip(&fields) {
        assert_eq!(field.name, *name, "{}", T::NAME);
        assert!(is(field.jute_type, value), "{}.{name}: {value:?} is no {}", T::NAME, field.jute_type);
    }
}

macro_rules! each_is_what_it_says {
    ($($record:ident)+) => {
        $(fields_are_what_they_say::<$record>();)+
    };
}

#[test]
fn every_field_is_encoded_as_the_type_it_is_declared_with() {
    each_is_what_it_says!(
        Id Acl Stat ClientInfo ConnectRequest ConnectResponse RequestHeader ReplyHeader MultiHeader AuthPacket
        GetSaslRequest SetSaslResponse SetWatches SetWatches2 CreateRequest CreateTtlRequest CreateResponse
        Create2Response DeleteRequest ExistsRequest ExistsResponse GetDataRequest GetDataResponse SetDataRequest
        SetDataResponse GetAclRequest GetAclResponse SetAclRequest SetAclResponse GetChildrenRequest
        GetChildrenResponse GetChildren2Request GetChildren2Response SyncRequest SyncResponse CheckVersionRequest
        ReconfigRequest CheckWatchesRequest RemoveWatchesRequest AddWatchRequest GetEphemeralsRequest
        GetEphemeralsResponse GetAllChildrenNumberRequest GetAllChildrenNumberResponse WhoAmIResponse ErrorResponse
        WatcherEvent
    );
}
