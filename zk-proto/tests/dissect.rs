//! What the example `dissect` answers to lines that no capture has.

#[path = "../examples/dissect/answer.rs"]
mod answer;
#[path = "../examples/dissect/line.rs"]
mod line;
#[path = "../examples/dissect/message.rs"]
mod message;
#[path = "../examples/dissect/node.rs"]
mod node;
#[path = "../examples/dissect/text.rs"]
mod text;

use answer::{answer_json, answer_text};
use serde_json::{Value as Json, json};

fn answer(line: &Json) -> Json {
    serde_json::from_str(&answer_json(line.to_string().as_bytes())).expect("JSON")
}

fn request(hex: &str) -> Json {
    answer(&json!({"id": 7, "dir": "c2s", "kind": "Request", "hex": hex}))
}

fn reply(op: &str, hex: &str) -> Json {
    answer(&json!({"id": "r", "dir": "s2c", "kind": "Response", "op": op, "hex": hex}))
}

#[track_caller]
fn assert_error(answer: &Json, id: &Json, message: &str) {
    assert_eq!(answer, &json!({"id": id, "error": message}));
}

#[test]
fn a_line_without_a_field_is_told_by_that_field() {
    let whole = json!({"id": "x", "dir": "c2s", "kind": "Request", "hex": "00000008fffffffe0000000b"});
    assert!(answer(&whole).get("fields").is_some());
    for field in ["id", "dir", "kind", "hex"] {
        let mut line = whole.clone();
        line.as_object_mut().expect("an object").remove(field);
        let answer = answer(&line);
        assert_eq!(answer["id"], Json::Null);
        let message = answer["error"].as_str().expect("an error");
        assert!(message.starts_with(&format!("{field}: missing")), "{message}");
    }
}

#[test]
fn a_line_that_is_no_json_is_told() {
    for line in [&b""[..], b"\n", b"{", b"[]", b"7", b"{\"id\":1,}", b"\xFF\xFE"] {
        let answer: Json = serde_json::from_str(&answer_json(line)).expect("JSON");
        assert_eq!(answer["id"], Json::Null);
        assert!(answer["error"].as_str().is_some_and(|error| error.starts_with("line: ")), "{answer}");
    }
}

#[test]
fn a_frame_that_is_not_as_long_as_it_says_is_told() {
    let id = json!(7);
    assert_error(&request(""), &id, "frame.length: 4 more byte(s) needed");
    assert_error(&request("00000008fffffffe"), &id, "frame.length: 8, 4 more byte(s) needed");
    assert_error(&request("00000008fffffffe0000000b00"), &id, "frame.length: 8, 1 byte(s) too many");
    assert_error(&request("ffffffff"), &id, "frame.length: -1 is negative");
    assert_error(&request("0"), &id, "hex: 1 digits are no whole bytes");
    assert_error(&request("0g"), &id, "hex: character 'g' at 1 is no hexadecimal digit");
    assert_error(&request("00000000"), &id, "RequestHeader.xid: 4 more byte(s) needed");
}

#[test]
fn an_unknown_operation_keeps_what_follows_the_header() {
    let expected = |rest: Option<&str>| {
        let mut fields = json!({"header": {"xid": 1, "type": 99}, "record": null, "body": null});
        rest.into_iter().for_each(|rest| fields["rest"] = json!(rest));
        fields
    };
    let answer = request("000000080000000100000063");
    assert_eq!(answer["fields"], expected(None));
    assert_eq!(answer["reencoded"], "000000080000000100000063");
    let answer = request("0000000a0000000100000063abcd");
    assert_eq!(answer["fields"], expected(Some("abcd")));
    assert_eq!(answer["reencoded"], "0000000a0000000100000063abcd");
}

#[test]
fn an_unknown_operation_in_a_multi_is_an_error() {
    let answer = request("00000011000000060000000e0000004d00ffffffff");
    assert_error(&answer, &json!(7), "MultiHeader.type: unknown operation 77");
}

#[test]
fn the_headers_of_a_multi_are_shown_as_they_are() {
    let hex = "00000025000000030000000e0000000d00000000050000000361c3a9ffffffff0000000001fffffffe";
    let answer = request(hex);
    assert_eq!(answer["reencoded"], hex);
    let body = &answer["fields"]["body"];
    assert_eq!(body["parts"][0]["header"], json!({"type": 13, "done": false, "err": 5}));
    assert_eq!(body["parts"][0]["body"], json!({"path": "aé", "version": -1}));
    assert_eq!(body["end"], json!({"type": 0, "done": true, "err": -2}));
}

#[test]
fn a_refusal_needs_no_operation_but_a_body_does() {
    let line = |hex: &str| answer(&json!({"id": 1, "dir": "s2c", "kind": "Response", "hex": hex}));
    let refused = line("00000010000000010000000100000003ffffff9b");
    assert_eq!(refused["fields"]["header"]["err"], -101);
    let ping = line("00000010fffffffe000000010000000500000000");
    assert_eq!(ping["fields"]["record"], Json::Null);
    let created = line("00000016000000010000000100000003000000000000000261");
    assert!(created["error"].as_str().is_some(), "{created}");
    let unknown = line("00000010000000010000000100000003 00000000");
    assert!(unknown["error"].as_str().is_some_and(|error| error.starts_with("hex: ")), "{unknown}");
    let unknown = line("0000001000000001000000010000000300000000");
    assert!(unknown["error"].as_str().is_some_and(|error| error.starts_with("op: missing")), "{unknown}");
}

#[test]
fn a_string_of_surrogates_is_shown_as_its_character_and_kept_as_it_came() {
    let hex = "0000001c000000010000000000000003000000000000000875eda0bdedb88078";
    let answer = reply("create", hex);
    assert_eq!(answer["fields"]["body"]["path"], "u\u{1F600}x");
    assert_eq!(answer["reencoded"], hex);
}

#[test]
fn a_dir_that_the_kind_does_not_go_is_told() {
    let answer = answer(&json!({"id": 1, "dir": "s2c", "kind": "Request", "hex": ""}));
    assert_error(&answer, &json!(1), "dir: \"s2c\", but Request goes c2s");
}

#[test]
fn the_dump_marks_each_field() {
    let line = r#"{"id":"x","dir":"c2s","kind":"Request","hex":"0000000f0000000100000004000000022f6101"}"#;
    let expected = r#""x" Request, 19 byte(s)
0000  0000000f                          length
0004  00000001                          header.xid = 1
0008  00000004                          header.type = 4 (getData)
                                        GetDataRequest
000c  000000022f61                      body.path = "/a"
0012  01                                body.watch = true
"#;
    assert_eq!(answer_text(line.as_bytes()), expected);
}

#[test]
fn the_dump_of_a_malformed_frame_shows_where_it_breaks() {
    let line = r#"{"id":"x","dir":"c2s","kind":"Request","hex":"0000000e0000000400000004000001f42f78"}"#;
    let expected = r#""x" Request, 18 byte(s)
0000  0000000e                          length
0004  0000000400000004                  sound as far as here
000c  000001f42f78                      GetDataRequest.path: 498 more byte(s) needed
"#;
    assert_eq!(answer_text(line.as_bytes()), expected);
}
