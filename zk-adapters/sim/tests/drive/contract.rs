//! The pipe's format, rule by rule: inputs, options, outputs, kinds and states.

use serde_json::{Value, json};
use zk_sim::drive::Drive;

/// A session that is driven, and all that it has said.
struct Driven {
    drive: Drive,
    said: Vec<Value>,
}

impl Driven {
    fn new(config: &str) -> Self {
        let mut driven = Self { drive: Drive::default(), said: Vec::new() };
        driven.line(&format!(
            r#"{{"config":{{"connect_string":"a:1,b:1","session_timeout_ms":9000,"seed":1{config}}}}}"#
        ));
        driven
    }

    /// A session that is connected at 10 ms.
    fn connected(config: &str) -> Self {
        let mut driven = Self::new(config);
        driven.at(10, r#""connected":{"connection":1}"#);
        driven.accept(10, 1);
        driven
    }

    fn at(&mut self, at_ms: u64, what: &str) -> Vec<Value> {
        self.line(&format!(r#"{{"at_ms":{at_ms},{what}}}"#))
    }

    /// What it says to a line, without the status, of which there is always one.
    fn line(&mut self, line: &str) -> Vec<Value> {
        let mut answers = self.drive.line(line.as_bytes());
        self.said.extend(answers.iter().cloned());
        assert!(answers.pop().is_some_and(|last| last.get("status").is_some()), "{line}");
        assert!(answers.iter().all(|answer| answer.get("status").is_none()), "{line}");
        answers
    }

    fn status(&self) -> &Value {
        &self.said.last().expect("an answer")["status"]
    }

    fn receive(&mut self, at_ms: u64, connection: u64, payload: &str) -> Vec<Value> {
        let payload = payload.replace(' ', "");
        let hex = format!("{:08x}{payload}", payload.len() / 2);
        self.at(at_ms, &format!(r#""received":{{"connection":{connection},"hex":"{hex}"}}"#))
    }

    fn accept(&mut self, at_ms: u64, connection: u64) -> Vec<Value> {
        let rest = format!("00000010{}00", "ab".repeat(16));
        self.receive(at_ms, connection, &format!("00000000 00002328 0000000000000007 {rest}"))
    }

    fn reply(&mut self, at_ms: u64, xid: i32, err: i32, body: &str) -> Vec<Value> {
        self.receive(at_ms, 1, &format!("{xid:08x} 0000000000000050 {err:08x} {body}"))
    }

    fn event(&mut self, at_ms: u64, event: i32, path: &str) -> Vec<Value> {
        let path = buffer(path);
        let header = "ffffffff ffffffffffffffff 00000000";
        self.receive(at_ms, 1, &format!("{header} {event:08x} 00000003 {path}"))
    }

    fn submit(&mut self, at_ms: u64, tag: &str, what: &str) -> Vec<Value> {
        self.at(at_ms, &format!(r#""submit":{{"tag":"{tag}",{what}}}"#))
    }
}

const GET: &str = r#""op":"get_data","path":"/a""#;
const WATCH: &str = r#""op":"get_data","path":"/a","watch":true"#;
const SET: &str = r#""op":"set_data","path":"/a","data":"00""#;
const STAT: &str = "0000000000000001 0000000000000002 0000000000000003 0000000000000004 00000005 00000006 00000007 0000000000000008 00000009 0000000a 000000000000000b";

fn find<'a>(answers: &'a [Value], name: &str) -> &'a Value {
    answers.iter().find_map(|answer| answer.get(name)).unwrap_or_else(|| panic!("no {name} in {answers:?}"))
}

/// A buffer of jute with this text, in hex.
fn buffer(text: &str) -> String {
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{:08x}{hex}", text.len())
}

fn failed(answers: &[Value]) -> &Value {
    &find(answers, "reply")["failed"]
}

#[test]
fn each_kind_of_failure_has_its_name_and_says_whether_it_was_sent() {
    let mut driven = Driven::connected("");
    driven.submit(11, "a", &format!(r#"{GET},"deadline_ms":5"#));
    assert_eq!(driven.status()["next_timeout_ms"], 16);
    let late = driven.at(16, r#""timeout":{}"#);
    assert_eq!(failed(&late), &json!({ "kind": "deadline", "delivery": "maybe_applied" }));
    driven.submit(17, "b", GET);
    let cancelled = driven.at(18, r#""cancel":{"tag":"b"}"#);
    assert_eq!(failed(&cancelled), &json!({ "kind": "cancelled", "delivery": "maybe_applied" }));
    // Their replies are swallowed; then one without a body.
    driven.reply(18, 1, 0, &format!("00000000{STAT}"));
    driven.reply(18, 2, 0, &format!("00000000{STAT}"));
    driven.submit(19, "c", GET);
    let malformed = driven.reply(20, 3, 0, "");
    assert_eq!(failed(&malformed)["kind"], "malformed_reply");
    assert_eq!(failed(&malformed)["delivery"], "maybe_applied");
    driven.submit(21, "d", SET);
    let lost = driven.at(22, r#""disconnected":{"connection":1}"#);
    assert_eq!(failed(&lost), &json!({ "kind": "connection_loss", "delivery": "maybe_applied" }));
    driven.submit(23, "e", SET);
    let closed = driven.at(24, r#""close":{}"#);
    assert_eq!(closed, [] as [Value; 0]);
    let closed = driven.at(30_000, r#""timeout":{}"#);
    assert_eq!(failed(&closed), &json!({ "kind": "closed", "delivery": "not_sent" }));
    assert_eq!(closed.last(), Some(&json!({ "state": { "to": "closed", "confirmed": false } })));
    assert_eq!(
        (&driven.status()["state"], &driven.status()["next_timeout_ms"]),
        (&json!("closed"), &Value::Null)
    );
}

#[test]
fn a_reply_that_is_too_long_fails_its_request_with_its_length() {
    let mut driven = Driven::connected(r#","max_frame_len":100"#);
    driven.submit(11, "a", GET);
    let too_large = driven.reply(12, 1, 0, &"00".repeat(200));
    assert_eq!(
        failed(&too_large),
        &json!({ "kind": "reply_too_large", "len": 216, "delivery": "maybe_applied" })
    );
    assert_eq!(driven.status()["state"], "connected");
}

#[test]
fn an_operation_that_the_server_lacks_is_unsupported() {
    let mut driven = Driven::connected("");
    driven.submit(11, "a", r#""op":"add_watch","path":"/a","mode":"persistent""#);
    let refused = driven.receive(12, 1, "00000001 ffffffffffffffff fffffffa");
    assert_eq!(find(&refused, "reply")["refused"], json!({ "code": -6, "name": "unimplemented" }));
    let unsupported = driven.submit(13, "b", r#""op":"add_watch","path":"/a","mode":"persistent""#);
    assert_eq!(failed(&unsupported), &json!({ "kind": "unsupported", "delivery": "not_sent" }));
}

#[test]
fn expiry_says_by_whom_and_why() {
    let mut driven = Driven::connected("");
    driven.submit(11, "a", &format!(r#"{SET},"retry":"when_safe""#));
    driven.at(12, r#""disconnected":{"connection":1}"#);
    driven.submit(13, "b", SET);
    driven.at(14, r#""connected":{"connection":2}"#);
    let refused =
        driven.receive(15, 2, &format!("00000000 00000000 0000000000000000 00000010{}00", "00".repeat(16)));
    assert_eq!(find(&refused, "state"), &json!({ "to": "expired", "by": "server", "reason": "refused" }));
    assert_eq!(failed(&refused), &json!({ "kind": "session_expired", "delivery": "not_sent" }));
    let error = driven.submit(16, "c", GET);
    assert_eq!(
        (&error[0]["submit_error"]["tag"], &error[0]["submit_error"]["kind"]),
        (&json!("c"), &json!("expired"))
    );

    let mut driven = Driven::connected("");
    driven.at(12, r#""disconnected":{"connection":1}"#);
    driven.at(14, r#""connected":{"connection":2}"#);
    let replaced =
        driven.receive(15, 2, &format!("00000000 00002328 0000000000000008 00000010{}00", "ab".repeat(16)));
    assert_eq!(find(&replaced, "state"), &json!({ "to": "expired", "by": "server", "reason": "replaced" }));

    // At 4/3 of the negotiated timeout after the hand-out of the youngest answered frame, the handshake at 10 ms.
    let mut driven = Driven::connected(r#","expiry":"client""#);
    driven.at(11, r#""disconnected":{"connection":1}"#);
    let mut told = Vec::new();
    while driven.status()["state"] == "connecting" {
        let due = driven.status()["next_timeout_ms"].as_u64().expect("a timer");
        told = driven.at(due, r#""timeout":{}"#);
    }
    assert_eq!(find(&told, "state"), &json!({ "to": "expired", "by": "client", "reason": "silence" }));
    assert_eq!(driven.status()["at_ms"], 12_010);
    assert!(driven.said.contains(&json!({ "state": { "to": "may_be_expired" } })));
    let failed = find(&driven.said, "all_servers_failed");
    assert_eq!((&failed["attempts"], &failed["last_reason"]), (&json!(2), &json!("connect_timeout")));
}

#[test]
fn an_identity_that_is_refused_ends_the_session() {
    let mut driven = Driven::connected(r#","auth":[{"scheme":"digest","auth":"00ff"}]"#);
    driven.reply(11, -4, 0, "");
    driven.at(12, r#""add_auth":{"tag":"a1","scheme":"digest","auth":"01"}"#);
    assert_eq!(driven.status()["in_flight"], 1);
    let told = driven.reply(13, -4, 0, "");
    assert_eq!(told, [json!({ "reply": { "tag": "a1", "zxid": "0x0", "ok": {} } })]);
    driven.at(14, r#""add_auth":{"tag":"a2","scheme":"ip","auth":""}"#);
    let refused = driven.reply(15, -4, -115, "");
    assert_eq!(find(&refused, "reply")["refused"], json!({ "code": -115, "name": "auth_failed" }));
    assert_eq!(find(&refused, "state"), &json!({ "to": "auth_failed", "scheme": "ip" }));
    let error = driven.at(16, r#""add_auth":{"tag":"a3","scheme":"ip","auth":""}"#);
    assert_eq!(error[0]["submit_error"]["kind"], "auth_failed");
    assert_eq!(driven.status()["state"], "auth_failed");
}

#[test]
fn sasl_goes_first() {
    let sasl = r#","sasl":{"mechanism":"digest_md5","username":"me","password":"secret"}"#;
    let mut driven = Driven::connected(sasl);
    let sent = driven.said.iter().filter_map(|answer| answer["send"]["hex"].as_str()).next_back();
    // Xid 1, operation 102, an empty first token.
    assert_eq!(sent, Some("0000000c000000010000006600000000"));
    assert_eq!(driven.status()["ready"], false);
    let refused = driven.reply(12, 1, -115, "");
    assert_eq!(find(&refused, "state"), &json!({ "to": "auth_failed", "scheme": "sasl" }));
}

/// The digests are RFC 2831's, computed apart by Python's hashlib.
#[test]
fn digest_md5_takes_two_steps_and_the_server_proves_itself_too() {
    let sasl = r#","sasl":{"mechanism":"digest_md5","username":"me","password":"secret"}"#;
    let challenge = r#"realm="zk",nonce="n1",charset=utf-8,algorithm=md5-sess"#;
    let response = "charset=utf-8,username=\"me\",realm=\"zk\",nonce=\"n1\",nc=00000001,\
                    cnonce=\"a2bed7e9123d9dc69053e2f205692a92\",digest-uri=\"zookeeper/zk-sasl-md5\",\
                    maxbuf=65536,response=4d69220de8476a481f1243ab0b0182ed,qop=auth";
    let answered = || {
        let mut driven = Driven::connected(sasl);
        let answers = driven.reply(11, 1, 0, &buffer(challenge));
        let token = buffer(response);
        let len = 8 + token.len() / 2;
        let sent = format!("{len:08x}0000000200000066{token}");
        assert_eq!(answers, [json!({ "send": { "connection": 1, "hex": sent } })]);
        assert_eq!(driven.status()["ready"], false);
        driven
    };
    let mut driven = answered();
    let proven = driven.reply(12, 2, 0, &buffer("rspauth=1ecfd3d6a77e5ca04dfe4a3baf2a87a4"));
    assert_eq!(proven, [json!({ "state": { "to": "ready" } })]);
    let mut deceived = answered();
    let unproven = deceived.reply(12, 2, 0, &buffer(&format!("rspauth={}", "0".repeat(32))));
    assert_eq!(find(&unproven, "state"), &json!({ "to": "auth_failed", "scheme": "sasl" }));
}

#[test]
fn what_is_not_accepted_has_a_kind() {
    let kind = |config: &str, before: &[&str], what: &str| {
        let mut driven = Driven::new(config);
        for (number, before) in before.iter().enumerate() {
            driven.submit(1, &format!("b{number}"), before);
        }
        let error = driven.submit(2, "x", what);
        assert_eq!(error.len(), 1, "{config} {:.99}", what);
        assert_eq!(error[0]["submit_error"]["tag"], "x");
        error[0]["submit_error"]["kind"].clone()
    };
    assert_eq!(kind(r#","max_queued_requests":1"#, &[GET], GET), "queue_full");
    assert_eq!(kind(r#","max_queued_bytes":30"#, &[GET], GET), "queue_full");
    assert_eq!(kind(r#","max_watches":1"#, &[GET, WATCH], WATCH), "queue_full");
    let long = format!(r#""op":"set_data","path":"/a","data":"{}""#, "00".repeat(0x10_0000));
    assert_eq!(kind("", &[], &long), "too_large");
    assert_eq!(kind("", &[], r#""op":"get_data","path":"/a/""#), "invalid_path");
    let ttl = r#""op":"create","path":"/a","data":null,"mode":"persistent_with_ttl","ttl_ms":0"#;
    assert_eq!(kind("", &[], ttl), "invalid_argument");
}

#[test]
fn at_most_so_many_are_in_flight() {
    let mut driven = Driven::connected(r#","max_in_flight":1"#);
    driven.submit(11, "a", GET);
    assert_eq!(driven.submit(11, "b", GET), [] as [Value; 0]);
    assert_eq!((&driven.status()["in_flight"], &driven.status()["queued"]), (&json!(1), &json!(1)));
}

#[test]
fn watches_are_told_by_owner_in_order_and_restored_with_their_gap() {
    let mut driven = Driven::connected("");
    driven.submit(11, "w1", WATCH);
    driven.submit(11, "w2", WATCH);
    driven.submit(11, "p", r#""op":"add_watch","path":"/a","mode":"persistent""#);
    let body = format!("00000000 {STAT}");
    driven.reply(12, 1, 0, &body);
    driven.reply(12, 2, 0, &body);
    driven.reply(12, 3, 0, "00000000");
    assert_eq!((&driven.status()["watches"], &driven.status()["last_zxid"]), (&json!(3), &json!("0x50")));
    let told = driven.event(13, 3, "/a");
    let tags: Vec<_> = told.iter().map(|told| told["watch"]["tag"].as_str().expect("a tag")).collect();
    assert_eq!(tags, ["w1", "w2", "p"]);
    assert_eq!(told[2]["watch"]["type"], "node_data_changed");
    let odd = driven.event(14, 77, "/a");
    assert_eq!((&odd[0]["watch"]["tag"], &odd[0]["watch"]["type"]), (&json!("p"), &json!(77)));
    driven.at(15, r#""disconnected":{"connection":1}"#);
    driven.at(16, r#""connected":{"connection":2}"#);
    driven.accept(17, 2);
    let restored = driven.receive(18, 2, "00000004 0000000000000060 00000000");
    let gap = json!({ "gap": { "from": "0x50", "to": "0x60" } });
    assert_eq!(find(&restored, "watches_restored"), &gap);
    assert_eq!(restored.last(), Some(&json!({ "state": { "to": "ready" } })));
    let removed = driven.at(19, r#""remove_watch":{"tag":"p"}"#);
    let ended = json!({ "tag": "p", "path": "/a", "reason": "removed" });
    assert_eq!(find(&removed, "watch_ended"), &ended);
    assert_eq!(driven.status()["watches"], 0);
}

#[test]
fn a_watch_ends_with_its_session() {
    let mut driven = Driven::connected("");
    driven.submit(11, "w", WATCH);
    driven.reply(12, 1, 0, &format!("00000000 {STAT}"));
    driven.at(13, r#""close":{}"#);
    let closed = driven.reply(14, 2, 0, "");
    let ended = json!({ "tag": "w", "path": "/a", "reason": "session_ended" });
    assert_eq!(find(&closed, "watch_ended"), &ended);
    assert_eq!(closed.last(), Some(&json!({ "state": { "to": "closed", "confirmed": true } })));
}

#[test]
fn multis_tell_each_result() {
    let mut driven = Driven::connected("");
    let ops = r#"{"op":"check","path":"/a","version":1},{"op":"delete","path":"/b"}"#;
    driven.submit(11, "m", &format!(r#""op":"multi","ops":[{ops}]"#));
    let end = "ffffffff01ffffffff";
    let applied = driven.reply(12, 1, 0, &format!("0000000d0000000000 000000020000000000 {end}"));
    assert_eq!(find(&applied, "reply")["ok"], json!({ "results": [{ "ok": {} }, { "ok": {} }] }));
    driven.submit(13, "n", &format!(r#""op":"multi","ops":[{ops}]"#));
    let errors = "ffffffff00ffffff99ffffff99 ffffffff00fffffffefffffffe";
    let refused = driven.reply(14, 2, 0, &format!("{errors} {end}"));
    let bad_version = json!({ "code": -103, "name": "bad_version" });
    let results = json!([
        { "refused": bad_version },
        { "refused": { "code": -2, "name": "runtime_inconsistency" } },
    ]);
    assert_eq!(
        find(&refused, "reply")["refused"],
        json!({ "code": -103, "name": "bad_version", "results": results })
    );
    let empty = driven.submit(15, "e", r#""op":"multi","ops":[]"#);
    assert_eq!(empty[0]["send"]["hex"], "00000011000000030000000effffffff01ffffffff");
}

#[test]
fn a_reconfig_tells_the_new_configuration_or_why_there_is_none() {
    let mut driven = Driven::connected("");
    let codes = [
        (-8, "bad_arguments"),
        (-13, "new_config_no_quorum"),
        (-14, "reconfig_in_progress"),
        (-103, "bad_version"),
        (-123, "reconfig_disabled"),
    ];
    for (xid, (code, name)) in (1..).zip(codes) {
        driven.submit(11, &format!("r{xid}"), r#""op":"reconfig","leaving":"3""#);
        let refused = driven.reply(11, xid, code, "");
        assert_eq!(find(&refused, "reply")["refused"], json!({ "code": code, "name": name }));
    }
    let what = r#""op":"reconfig","joining":"s","new_members":null,"cur_config_id":"0x1f""#;
    let asked = driven.submit(13, "last", what);
    let record = "00000001 73 ffffffff ffffffff 000000000000001f".replace(' ', "");
    assert_eq!(asked[0]["send"]["hex"], format!("0000001d0000000600000010{record}"));
    let told = driven.reply(14, 6, 0, &format!("{}{STAT}", buffer("version=20")));
    let ok = &find(&told, "reply")["ok"];
    assert_eq!((&ok["data"], &ok["stat"]["version"]), (&json!("76657273696f6e3d3230"), &json!(5)));
}

#[test]
fn an_ephemeral_znode_of_a_create_that_was_given_up_is_told() {
    let mut driven = Driven::connected("");
    driven.submit(11, "c", r#""op":"create","path":"/e-","data":null,"mode":"ephemeral_sequential""#);
    driven.at(12, r#""cancel":{"tag":"c"}"#);
    let told = driven.reply(13, 1, 0, &format!("{}{STAT}", buffer("/e-0000000003")));
    assert_eq!(told, [json!({ "abandoned_create": { "tag": "c", "path": "/e-0000000003" } })]);
    driven.submit(14, "p", r#""op":"create","path":"/p","data":null"#);
    driven.at(15, r#""cancel":{"tag":"p"}"#);
    assert_eq!(driven.reply(16, 2, 0, &format!("{}{STAT}", buffer("/p"))), [] as [Value; 0]);
}

#[test]
fn a_read_only_session_looks_for_another_server() {
    let mut driven = Driven::new(r#","read_only":true"#);
    driven.at(10, r#""connected":{"connection":1}"#);
    let told =
        driven.receive(10, 1, &format!("00000000 00002328 0000000000000007 00000010{}01", "ab".repeat(16)));
    assert_eq!(find(&told, "state")["to"], "connected_read_only");
    assert_eq!(
        (&driven.status()["state"], &driven.status()["ready"]),
        (&json!("connected_read_only"), &json!(true))
    );
    let own = find(&driven.said, "connect")["server"].clone();
    let other = if own == "a:1" { "b:1" } else { "a:1" };
    let mut told = Vec::new();
    while !told.iter().any(|action: &Value| action.get("probe").is_some()) {
        let due = driven.status()["next_timeout_ms"].as_u64().expect("a timer");
        told = driven.at(due, r#""timeout":{}"#);
        driven.receive(due, 1, "fffffffe 0000000000000000 00000000");
    }
    let probe = find(&told, "probe");
    assert_eq!((&probe["probe"], &probe["server"]), (&json!(1), &json!(other)));
    let at = driven.status()["at_ms"].as_u64().expect("a time");
    assert_eq!(driven.at(at, r#""probed":{"probe":9,"read_write":true}"#), [] as [Value; 0]);
    let found = driven.at(at, r#""probed":{"probe":1,"read_write":true}"#);
    assert_eq!(find(&found, "disconnect")["reason"], "read_write_server_found");
}

#[test]
fn a_session_is_resumed_with_its_credentials() {
    let resume = r#","resume":{"session_id":"0x1000a3f0000","password":"0102","last_zxid":"0x99"}"#;
    let mut driven = Driven::new(resume);
    assert_eq!(driven.status()["last_zxid"], "0x99");
    let sent = driven.at(1, r#""connected":{"connection":1}"#);
    let hex = "0000001f00000000000000000000009900002328000001000a3f000000000002010200";
    assert_eq!(sent[0]["send"]["hex"], hex);
}

#[test]
fn a_late_tick_says_how_late_it_is() {
    let mut driven = Driven::connected("");
    let late = driven.at(3_610_000, r#""timeout":{}"#);
    let due = 10 + 9_000 / 3;
    assert_eq!(find(&late, "late"), &json!({ "by_ms": 3_610_000 - due }));
}

#[test]
fn inputs_of_the_past_get_their_status_and_nothing_else() {
    let mut driven = Driven::connected("");
    driven.at(11, r#""disconnected":{"connection":1}"#);
    let before = driven.status().clone();
    for input in [
        r#""connected":{"connection":1}"#,
        r#""received":{"connection":1,"hex":"00000001"}"#,
        r#""disconnected":{"connection":1}"#,
        r#""connected":{"connection":99}"#,
        r#""timeout":{}"#,
        r#""timeout":{}"#,
        r#""cancel":{"tag":"r"}"#,
    ] {
        if input.contains("cancel") {
            driven.submit(11, "r", GET);
            driven.at(11, input);
        }
        assert_eq!(driven.at(11, input), [] as [Value; 0], "{input}");
        assert_eq!(driven.status(), &before, "{input}");
    }
}

#[test]
fn sent_reports_may_be_zero_and_are_what_was_taken() {
    let mut driven = Driven::new(r#","auto_sent":false"#);
    driven.at(1, r#""connected":{"connection":1}"#);
    assert_eq!(driven.at(1, r#""sent":{"connection":1,"count":0}"#), [] as [Value; 0]);
    driven.at(1, r#""sent":{"connection":1,"count":49}"#);
    driven.accept(2, 1);
    driven.submit(3, "a", SET);
    assert_eq!(driven.submit(3, "b", SET), [] as [Value; 0], "one send at a time is outstanding");
    let next = driven.at(4, r#""sent":{"connection":1,"count":33}"#);
    assert!(next[0].get("send").is_some(), "{next:?}");
}

#[test]
fn the_dullest_lines_are_errors_too() {
    let mut driven = Driven::connected("");
    for (line, field) in [
        ("", "line"),
        ("  ", "line"),
        ("\u{7f}", "line"),
        (r#"{"at_ms":11.5,"timeout":{}}"#, "at_ms"),
        (r#"{"at_ms":"11","timeout":{}}"#, "at_ms"),
        (r#"{"at_ms":11,"timeout":null}"#, "timeout"),
        (r#"{"at_ms":11,"connected":{"connection":-1}}"#, "connection"),
        (r#"{"at_ms":11,"received":{"connection":1,"hex":"0g"}}"#, "hex"),
        (r#"{"at_ms":11,"probed":{"probe":1}}"#, "read_write"),
        (r#"{"at_ms":11,"submit":{"op":"who_am_i"}}"#, "tag"),
        (r#"{"at_ms":11,"submit":{"tag":"r","op":"get_data"}}"#, "path"),
        (r#"{"at_ms":11,"submit":{"tag":"r","op":"set_acl","path":"/a"}}"#, "acl"),
        (r#"{"at_ms":11,"submit":{"tag":"r","op":"set_acl","path":"/a","acl":[{"perms":1}]}}"#, "scheme"),
        (r#"{"at_ms":11,"submit":{"tag":"r","op":"multi"}}"#, "ops"),
        (r#"{"at_ms":11,"submit":{"tag":"r","op":"multi","ops":[{"op":"get_data","path":"/"}]}}"#, "op"),
        (r#"{"at_ms":11,"submit":{"tag":"r","op":"multi","ops":[{"op":"check","path":"/"}]}}"#, "version"),
        (r#"{"at_ms":11,"submit":{"tag":"r","op":"multi_read","ops":[{"op":"delete","path":"/"}]}}"#, "op"),
        (r#"{"at_ms":11,"submit":{"tag":"r","op":"add_watch","path":"/","mode":"one_time"}}"#, "mode"),
        (r#"{"at_ms":11,"submit":{"tag":"r","op":"remove_watches","path":"/","type":"all"}}"#, "type"),
        (
            r#"{"at_ms":11,"submit":{"tag":"r","op":"create","path":"/","data":null,"mode":"persistent_with_ttl"}}"#,
            "ttl_ms",
        ),
        (r#"{"at_ms":11,"submit":{"tag":"r","op":"create","path":"/","data":null,"ttl_ms":1}}"#, "ttl_ms"),
        (r#"{"at_ms":11,"submit":{"tag":"r","op":"reconfig","joining":["s"]}}"#, "joining"),
        (r#"{"at_ms":11,"submit":{"tag":"r","op":"reconfig","leaving":3}}"#, "leaving"),
        (r#"{"at_ms":11,"submit":{"tag":"r","op":"reconfig","new_members":false}}"#, "new_members"),
        (r#"{"at_ms":11,"submit":{"tag":"r","op":"reconfig","cur_config_id":"1f"}}"#, "cur_config_id"),
        (r#"{"at_ms":11,"submit":{"tag":"r","op":"reconfig","cur_config_id":1.5}}"#, "cur_config_id"),
        (r#"{"at_ms":11,"submit":{"tag":"r","op":"reconfig","members":"s"}}"#, "members"),
        (r#"{"at_ms":11,"submit":{"tag":"r","op":"get_config","watch":"yes"}}"#, "watch"),
        (r#"{"at_ms":11,"add_auth":{"tag":"a","scheme":"digest"}}"#, "auth"),
        (r#"{"at_ms":11,"close":{"now":true}}"#, "now"),
    ] {
        let answer = driven.line(line);
        let error = answer[0]["error"].as_str().expect("an error");
        assert!(error.starts_with(&format!("{field}: ")), "{line}: {error}");
        assert_eq!((answer.len(), &driven.status()["at_ms"]), (1, &json!(10)), "{line}");
    }
    driven.submit(11, "r", GET);
    let again = driven.submit(11, "r", GET);
    assert!(again[0]["error"].as_str().is_some_and(|error| error.starts_with("tag: ")), "{again:?}");
}
