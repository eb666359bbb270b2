//! The pipe's format, line by line.

mod contract;
mod recorder;

use serde_json::{Value, json};
use zk_sim::drive::Drive;

const CONFIG: &str =
    r#"{"config":{"connect_string":"a:2181,b:2181/app","session_timeout_ms":10000,"seed":7}}"#;
const CONNECTED: &str = r#"{"at_ms":5,"connected":{"connection":1}}"#;
fn answers(drive: &mut Drive, line: &str) -> Vec<Value> {
    drive.line(line.as_bytes())
}

fn run(lines: &[&str]) -> Vec<Value> {
    let mut drive = Drive::default();
    lines.iter().flat_map(|line| answers(&mut drive, line)).collect()
}

/// The answers to the last line, without its status.
fn last_acts(lines: &[&str]) -> Vec<Value> {
    let mut drive = Drive::default();
    let mut last = Vec::new();
    for line in lines {
        last = answers(&mut drive, line);
    }
    assert!(last.pop().is_some_and(|status| status.get("status").is_some()));
    last
}

/// The lines up to a connected session, and then these.
fn connected(then: &[&str]) -> Vec<Value> {
    let accepted = accepted(10_000);
    let mut lines = vec![CONFIG, CONNECTED, accepted.as_str()];
    lines.extend(then);
    last_acts(&lines)
}

fn accepted(timeout_ms: u32) -> String {
    let hex = format!(
        "0000002500000000{timeout_ms:08x}010000000000000100000010{}00",
        "054cc74a37327db215e702e20c73f005"
    );
    format!(r#"{{"at_ms":6,"received":{{"connection":1,"hex":"{hex}"}}}}"#)
}

#[test]
fn a_session_connects_and_every_line_is_answered_by_its_actions_and_a_status() {
    let accepted = accepted(10_000);
    let output = run(&[CONFIG, CONNECTED, &accepted]);
    let status = |at_ms: u64, state: &str, ready: bool, due: u64, timer: &str| {
        json!({ "status": {
            "at_ms": at_ms, "state": state, "ready": ready, "next_timeout_ms": due, "next_timer": timer,
            "queued": 0, "in_flight": 0, "watches": 0, "last_zxid": "0x0",
        }})
    };
    let request =
        "0000002d000000000000000000000000000027100000000000000000000000100000000000000000000000000000000000";
    let expected = [
        json!({ "connect": { "connection": 1, "server": "b:2181" } }),
        status(0, "connecting", false, 3333, "connect"),
        json!({ "send": { "connection": 1, "hex": request } }),
        status(5, "associating", false, 3333, "read"),
        json!({ "state": {
            "to": "connected", "session_id": "0x100000000000001", "negotiated_timeout_ms": 10000,
            "read_only": false, "resumed": false, "epoch": 0,
        }}),
        json!({ "state": { "to": "ready" } }),
        status(6, "connected", true, 3338, "ping"),
    ];
    assert_eq!(output, expected);
}

#[test]
fn a_reply_tells_the_fields_of_its_record() {
    let get = r#"{"at_ms":7,"submit":{"tag":"r1","op":"get_data","path":"/a","watch":true}}"#;
    let reply = r#"{"at_ms":8,"received":{"connection":1,"hex":"0000005a00000001000000010000000300000000000000026869000000010000000200000001000000030000018bcfe568000000018bcfe56be8000000010000000000000000000000000000000000000002000000000000000100000002"}}"#;
    let stat = json!({
        "czxid": "0x100000002", "mzxid": "0x100000003", "ctime": 1_700_000_000_000_u64,
        "mtime": 1_700_000_001_000_u64, "version": 1, "cversion": 0, "aversion": 0, "ephemeral_owner": "0x0",
        "data_length": 2, "num_children": 0, "pzxid": "0x100000002",
    });
    let ok = json!({ "data": "6869", "stat": stat });
    let expected = json!({ "reply": { "tag": "r1", "zxid": "0x100000003", "ok": ok } });
    assert_eq!(connected(&[get, reply]), [expected]);
    // The watch fires under the request that set it, with the client's path.
    let event = r#"{"at_ms":9,"received":{"connection":1,"hex":"00000022ffffffff00000001000000040000000000000003000000 0300000006 2f6170702f61"}}"#
        .replace(' ', "");
    let fired = json!({ "watch": {
        "tag": "r1", "type": "node_data_changed", "state": "sync_connected", "path": "/a", "zxid": "0x100000004",
    }});
    assert_eq!(connected(&[get, reply, &event]), [fired]);
}

#[test]
fn refusals_and_failures_say_what_they_are() {
    let get = r#"{"at_ms":7,"submit":{"tag":"r1","op":"get_data","path":"/a"}}"#;
    let no_node =
        r#"{"at_ms":8,"received":{"connection":1,"hex":"000000100000000100000001 00000003ffffff9b"}}"#;
    let refused = json!({ "code": -101, "name": "no_node" });
    let expected = json!({ "reply": { "tag": "r1", "zxid": "0x100000003", "refused": refused } });
    assert_eq!(connected(&[get, &no_node.replace(' ', "")]), [expected]);
    let unknown =
        r#"{"at_ms":8,"received":{"connection":1,"hex":"00000010000000010000000100000003fffffc19"}}"#;
    let acts = connected(&[get, unknown]);
    assert_eq!(acts[0]["reply"]["refused"], json!({ "code": -999, "name": "unknown" }));
    let lost = connected(&[get, r#"{"at_ms":8,"disconnected":{"connection":1}}"#]);
    let failed = json!({ "kind": "connection_loss", "delivery": "maybe_applied" });
    assert_eq!(lost[0], json!({ "reply": { "tag": "r1", "failed": failed } }));
    assert_eq!(lost[1], json!({ "state": { "to": "disconnected", "reason": "connection_lost" } }));
    assert_eq!(lost[2]["connect"]["connection"], 2);
}

#[test]
fn what_the_transport_never_took_was_not_sent() {
    let config = CONFIG.replace("\"seed\":7", "\"seed\":7,\"auto_sent\":false");
    let accepted = accepted(10_000);
    let lines = |report: &'static str| {
        last_acts(&[
            &config,
            CONNECTED,
            r#"{"at_ms":5,"sent":{"connection":1,"count":49}}"#,
            &accepted,
            r#"{"at_ms":7,"submit":{"tag":"r1","op":"sync","path":"/a"}}"#,
            r#"{"at_ms":7,"submit":{"tag":"r2","op":"sync","path":"/a"}}"#,
            report,
            r#"{"at_ms":9,"disconnected":{"connection":1}}"#,
        ])
    };
    let deliveries = |acts: Vec<Value>| {
        let of = |act: &Value| act["reply"]["failed"]["delivery"].as_str().map(str::to_owned);
        acts.iter().filter_map(of).collect::<Vec<_>>()
    };
    // The first chunk holds r1 alone: r2 was submitted after it was handed out.
    assert_eq!(
        deliveries(lines(r#"{"at_ms":8,"sent":{"connection":1,"count":0}}"#)),
        ["not_sent", "not_sent"]
    );
    assert_eq!(
        deliveries(lines(r#"{"at_ms":8,"sent":{"connection":1,"count":3}}"#)),
        ["maybe_applied", "not_sent"]
    );
    assert_eq!(deliveries(lines(r#"{"at_ms":8,"timeout":{}}"#)), ["maybe_applied", "not_sent"]);
}

#[test]
fn a_line_that_cannot_be_read_changes_nothing_and_names_the_field() {
    let accepted = accepted(10_000);
    let mut drive = Drive::default();
    for line in [CONFIG, CONNECTED, &accepted] {
        answers(&mut drive, line);
    }
    let before = answers(&mut drive, r#"{"at_ms":6,"timeout":{}}"#);
    let cases = [
        ("not json", "line"),
        ("[]", "line"),
        (r#"{"timeout":{}}"#, "at_ms"),
        (r#"{"at_ms":5,"timeout":{}}"#, "at_ms"),
        (r#"{"at_ms":-1,"timeout":{}}"#, "at_ms"),
        (r#"{"at_ms":7}"#, "line"),
        (r#"{"at_ms":7,"timeout":{},"close":{}}"#, "timeout"),
        (r#"{"at_ms":7,"timeout":{"x":1}}"#, "x"),
        (r#"{"at_ms":7,"explode":{}}"#, "explode"),
        (r#"{"at_ms":7,"sent":{"connection":1,"count":4}}"#, "sent"),
        (r#"{"at_ms":7,"received":{"connection":1,"hex":"0"}}"#, "hex"),
        (r#"{"at_ms":7,"received":{"connection":1}}"#, "hex"),
        (r#"{"at_ms":7,"cancel":{"tag":"nobody"}}"#, "tag"),
        (r#"{"at_ms":7,"submit":{"tag":"r","op":"fly","path":"/"}}"#, "op"),
        (r#"{"at_ms":7,"submit":{"tag":"r","op":"check","path":"/","version":1}}"#, "op"),
        (r#"{"at_ms":7,"submit":{"tag":"r","op":"create","path":"/"}}"#, "data"),
        (r#"{"at_ms":7,"submit":{"tag":"r","op":"create","path":"/","data":null,"mode":"odd"}}"#, "mode"),
        (r#"{"at_ms":7,"submit":{"tag":"r","op":"get_data","path":"/","wach":true}}"#, "wach"),
        (r#"{"at_ms":7,"submit":{"tag":"r","op":"get_data","path":"/","retry":"always"}}"#, "retry"),
        (r#"{"at_ms":7,"submit":{"tag":"r","op":"delete","path":"/","version":2147483648}}"#, "version"),
        (r#"{"at_ms":7,"update_servers":{"connect_string":"c:1/other"}}"#, "connect_string"),
        (r#"{"at_ms":7,"update_servers":{"connect_string":"c:0/app"}}"#, "connect_string"),
    ];
    for (line, field) in cases {
        let answer = answers(&mut drive, line);
        assert_eq!(answer.len(), 2, "{line}");
        let error = answer[0]["error"].as_str().expect("an error");
        assert!(error.starts_with(&format!("{field}: ")), "{line}: {error}");
        assert_eq!(answer[1..], before, "{line}");
    }
}

#[test]
fn a_first_line_that_cannot_be_read_leaves_the_next_one_to_be_the_first() {
    let mut drive = Drive::default();
    for (line, field) in [
        (r#"{"at_ms":0,"timeout":{}}"#, "config"),
        (r#"{"config":{"connect_string":"a","session_timeout_ms":1}}"#, "seed"),
        (r#"{"config":{"connect_string":"a","session_timeout_ms":1,"seed":1,"x":2}}"#, "x"),
        (r#"{"config":{"connect_string":"","session_timeout_ms":1,"seed":1}}"#, "connect_string"),
        (
            r#"{"config":{"connect_string":"a","session_timeout_ms":1,"seed":1,"resume":{"session_id":1}}}"#,
            "session_id",
        ),
        (r#"{"config":{"connect_string":"a","session_timeout_ms":1,"seed":1,"expiry":"never"}}"#, "expiry"),
    ] {
        let answer = answers(&mut drive, line);
        assert!(
            answer[0]["error"].as_str().is_some_and(|error| error.starts_with(field)),
            "{line}: {answer:?}"
        );
        assert_eq!(answer[1], json!({ "status": null }));
    }
    assert_eq!(answers(&mut drive, CONFIG)[0]["connect"]["connection"], 1);
}

#[test]
fn every_operation_is_known_by_its_name() {
    let ops = [
        r#""op":"create","path":"/a","data":null"#,
        r#""op":"create","path":"/a","data":"00","mode":"ephemeral_sequential","acl":[{"perms":1,"scheme":"world","id":"anyone"}]"#,
        r#""op":"create","path":"/a","data":"","mode":"persistent_with_ttl","ttl_ms":1000"#,
        r#""op":"create","path":"/a","data":"","mode":"container""#,
        r#""op":"delete","path":"/a","version":3"#,
        r#""op":"exists","path":"/a","watch":true"#,
        r#""op":"get_data","path":"/a""#,
        r#""op":"set_data","path":"/a","data":"00ff""#,
        r#""op":"get_acl","path":"/a""#,
        r#""op":"set_acl","path":"/a","acl":[]"#,
        r#""op":"get_children","path":"/a""#,
        r#""op":"get_children2","path":"/a","watch":false"#,
        r#""op":"sync","path":"/a""#,
        r#""op":"multi","ops":[{"op":"check","path":"/a","version":1},{"op":"create","path":"/b","data":null},{"op":"set_data","path":"/a","data":null},{"op":"delete","path":"/b"}]"#,
        r#""op":"multi","ops":[]"#,
        r#""op":"multi_read","ops":[{"op":"get_data","path":"/a"},{"op":"get_children","path":"/a"}]"#,
        r#""op":"add_watch","path":"/a","mode":"persistent_recursive""#,
        r#""op":"remove_watches","path":"/a","type":"any""#,
        r#""op":"check_watches","path":"/a","type":"data""#,
        r#""op":"get_ephemerals","prefix_path":"/a""#,
        r#""op":"get_all_children_number","path":"/a""#,
        r#""op":"reconfig","leaving":"3","cur_config_id":"0x100000000""#,
        r#""op":"get_config""#,
        r#""op":"who_am_i""#,
    ];
    for op in ops {
        let line = format!(r#"{{"at_ms":7,"submit":{{"tag":"r",{op}}}}}"#);
        let acts = connected(&[&line]);
        assert_eq!(acts.len(), 1, "{op}: {acts:?}");
        assert!(acts[0].get("send").is_some(), "{op}: {acts:?}");
    }
}

#[test]
fn what_is_not_accepted_is_told_under_its_tag() {
    let acts = connected(&[r#"{"at_ms":7,"submit":{"tag":"r","op":"get_data","path":"a"}}"#]);
    assert_eq!(acts[0]["submit_error"]["tag"], "r");
    assert_eq!(acts[0]["submit_error"]["kind"], "invalid_path");
    let closed = [r#"{"at_ms":7,"close":{}}"#, r#"{"at_ms":7,"submit":{"tag":"r","op":"sync","path":"/"}}"#];
    assert_eq!(connected(&closed)[0]["submit_error"]["kind"], "closed");
}

#[test]
fn a_transcript_replays_to_the_byte() {
    let accepted = accepted(10_000);
    let lines = [
        CONFIG,
        CONNECTED,
        &accepted,
        r#"{"at_ms":3000,"submit":{"tag":"r1","op":"create","path":"/a","data":"00","mode":"ephemeral"}}"#,
        r#"{"at_ms":9000,"timeout":{}}"#,
        r#"{"at_ms":20000,"timeout":{}}"#,
        r#"{"at_ms":20000,"close":{}}"#,
        r#"{"at_ms":90000,"timeout":{}}"#,
    ];
    let texts = || run(&lines).iter().map(Value::to_string).collect::<Vec<_>>();
    assert_eq!(texts(), texts());
    assert!(texts().last().is_some_and(|status| status.contains("\"closed\"")));
}
