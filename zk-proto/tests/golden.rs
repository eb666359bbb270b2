//! Frames laid out by hand from ZooKeeper's record definitions; `|` separates the fields.

use zk_proto::{
    Bytes, BytesMut, CheckVersionRequest, ConnectRequest, ConnectResponse, CreateMode, DeleteRequest,
    ErrorCode, EventType, Frame, FrameDecoder, GetDataRequest, GetDataResponse, GetSaslRequest, Jute,
    KeeperState, Multi, MultiResponse, OPEN_ACL_UNSAFE, Op, OpCode, OpResult, Reader, ReplyHeader, Request,
    RequestHeader, Response, SessionId, SetDataResponse, SetSaslResponse, SetWatches, Stat, Ustring, Vector,
    WatcherEvent, Zxid, encode_event_frame, encode_reply_frame,
};

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|char| char.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).expect("two digits")).collect()
}

fn payload(frame: &[u8]) -> Bytes {
    let mut decoder = FrameDecoder::new(1 << 20);
    decoder.push(frame);
    let Ok(Some(Frame::Whole(payload))) = decoder.next() else { panic!("not one whole frame: {frame:?}") };
    assert!(decoder.is_empty());
    payload
}

#[track_caller]
fn assert_request(hex: &str, xid: i32, request: &Request) {
    let mut out = BytesMut::new();
    request.encode_frame(xid, &mut out);
    assert_eq!(out, bytes(hex));
    let payload = payload(&out);
    let mut input = Reader::new(&payload);
    let header = RequestHeader::decode(&mut input).expect("a header");
    assert_eq!(header, RequestHeader { xid, op: request.op_code() });
    assert_eq!(Request::decode(header.op, &mut input).as_ref(), Ok(request));
    assert_eq!(input.remaining(), 0);
}

#[track_caller]
fn assert_reply(hex: &str, header: ReplyHeader, op: OpCode, body: Option<&Response>) {
    let mut out = BytesMut::new();
    encode_reply_frame(&header, body, &mut out);
    assert_eq!(out, bytes(hex));
    let payload = payload(&out);
    let mut input = Reader::new(&payload);
    assert_eq!(ReplyHeader::decode(&mut input), Ok(header));
    if let Some(body) = body {
        assert_eq!(Response::decode(op, &mut input).as_ref(), Ok(body));
    }
    assert_eq!(input.remaining(), 0);
}

fn header(xid: i32, zxid: i64, err: ErrorCode) -> ReplyHeader {
    ReplyHeader { xid, zxid: Zxid(zxid), err }
}

#[test]
fn a_handshake_has_no_header() {
    let hex = "0000002d | 00000000 | 0000000000000000 | 00007530 | 0000000000000000 |
        00000010 00000000000000000000000000000000 | 00";
    let request = ConnectRequest {
        time_out: 30_000,
        passwd: Some(Bytes::from_static(&[0; 16])),
        read_only: Some(false),
        ..ConnectRequest::default()
    };
    let mut out = BytesMut::new();
    request.encode_frame(&mut out);
    assert_eq!(out, bytes(hex));
    assert_eq!(ConnectRequest::decode(&mut Reader::new(&payload(&out))), Ok(request));

    let hex =
        "00000025 | 00000000 | 00007530 | 0100000000000001 | 00000010 054cc74a37327db215e702e20c73f005 | 00";
    let response = ConnectResponse {
        protocol_version: 0,
        time_out: 30_000,
        session_id: SessionId(0x0100_0000_0000_0001),
        passwd: Some(Bytes::from(bytes("054cc74a37327db215e702e20c73f005"))),
        read_only: Some(false),
    };
    let mut out = BytesMut::new();
    response.encode_frame(&mut out);
    assert_eq!(out, bytes(hex));
    assert_eq!(ConnectResponse::decode(&mut Reader::new(&payload(&out))), Ok(response));
}

#[test]
fn a_refusal_is_no_connect_response() {
    let frame = bytes("00000010 | 00000000 | 0000000100000003 | ffffff89");
    let error = ConnectResponse::decode(&mut Reader::new(&payload(&frame))).unwrap_err();
    assert_eq!(error.to_string(), "ConnectResponse: 16 byte(s), at least 36 needed");
}

#[test]
fn a_connect_response_with_a_short_password_is_too_short_wherever_it_lies() {
    let hex = "00000000 | 00007530 | 0100000000000001 | 00000008 054cc74a37327db2 | 0000000000000000";
    for before in ["", "00000025"] {
        let payload = Bytes::from(bytes(&format!("{before} {hex}")));
        let mut input = Reader::new(&payload);
        if !before.is_empty() {
            assert_eq!(i32::decode(&mut input), Ok(0x25));
        }
        let error = ConnectResponse::decode(&mut input).unwrap_err();
        assert_eq!(error.to_string(), "ConnectResponse: 28 byte(s), at least 36 needed");
    }
}

#[test]
fn a_ping_is_a_header() {
    assert_request("00000008 | fffffffe | 0000000b", -2, &Request::Ping);
    let hex = "00000010 | fffffffe | 0000000100000005 | 00000000";
    assert_reply(hex, header(-2, 0x1_0000_0005, ErrorCode::OK), OpCode::PING, Some(&Response::Empty));
    assert_request("00000008 | 00000009 | fffffff5", 9, &Request::CloseSession);
}

#[test]
fn get_data_answers_data_and_stat() {
    let request = Request::GetData(GetDataRequest { path: "/a".into(), watch: true });
    assert_request("0000000f | 00000001 | 00000004 | 00000002 2f61 | 01", 1, &request);
    let stat = Stat {
        czxid: Zxid(0x1_0000_0002),
        mzxid: Zxid(0x1_0000_0003),
        ctime: 0x18b_cfe5_6800,
        mtime: 0x18b_cfe5_6be8,
        version: 1,
        data_length: 2,
        pzxid: Zxid(0x1_0000_0002),
        ..Stat::default()
    };
    let response = Response::GetData(GetDataResponse { data: Some(Bytes::from_static(b"hi")), stat });
    let hex = "0000005a | 00000001 | 0000000100000003 | 00000000 | 00000002 6869 | 0000000100000002 |
        0000000100000003 | 0000018bcfe56800 | 0000018bcfe56be8 | 00000001 | 00000000 | 00000000 |
        0000000000000000 | 00000002 | 00000000 | 0000000100000002";
    assert_reply(hex, header(1, 0x1_0000_0003, ErrorCode::OK), OpCode::GET_DATA, Some(&response));
    let hex = "00000010 | 00000001 | 0000000100000003 | ffffff9b";
    assert_reply(hex, header(1, 0x1_0000_0003, ErrorCode::NO_NODE), OpCode::GET_DATA, None);
}

#[test]
fn an_event_is_a_reply_nobody_asked_for() {
    let event = WatcherEvent {
        event_type: EventType::NODE_DATA_CHANGED,
        state: KeeperState::SYNC_CONNECTED,
        path: "/a".into(),
    };
    let mut out = BytesMut::new();
    encode_event_frame(Zxid(-1), &event, &mut out);
    let hex = "0000001e | ffffffff | ffffffffffffffff | 00000000 | 00000003 | 00000003 | 00000002 2f61";
    assert_eq!(out, bytes(hex));
    let payload = payload(&out);
    let mut input = Reader::new(&payload);
    assert_eq!(ReplyHeader::decode(&mut input), Ok(header(-1, -1, ErrorCode::OK)));
    assert_eq!(WatcherEvent::decode(&mut input), Ok(event));
}

#[test]
fn the_mode_chooses_the_operation_of_a_create() {
    let create = |mode, data| Request::create("/t", data, OPEN_ACL_UNSAFE, mode);
    let hex = "00000039 | 00000006 | 00000015 | 00000002 2f74 | ffffffff | 00000001 | 0000001f | 00000005 776f726c64 |
        00000006 616e796f6e65 | 00000005 | 00000000000003e8";
    assert_request(hex, 6, &create(CreateMode::PersistentWithTtl(1000), None));
    let hex = "00000033 | 00000002 | 0000000f | 00000002 2f74 | 00000002 6869 | 00000001 | 0000001f | 00000005 776f726c64 |
        00000006 616e796f6e65 | 00000003";
    assert_request(hex, 2, &create(CreateMode::EphemeralSequential, Some(Bytes::from_static(b"hi"))));
    assert_eq!(create(CreateMode::Container, None).op_code(), OpCode::CREATE_CONTAINER);
}

#[test]
fn a_multi_has_a_header_before_each_part_and_one_at_the_end() {
    let request = Request::Multi(Multi {
        ops: vec![
            Op::Check(CheckVersionRequest { path: "/a".into(), version: 5 }),
            Op::Delete(DeleteRequest { path: "/b".into(), version: -1 }),
        ],
    });
    let hex = "00000037 | 00000003 | 0000000e | 0000000d 00 ffffffff | 00000002 2f61 | 00000005 | 00000002 00 ffffffff |
        00000002 2f62 | ffffffff | ffffffff 01 ffffffff";
    assert_request(hex, 3, &request);

    let ok = header(3, 0x1_0000_0006, ErrorCode::OK);
    let applied = MultiResponse { results: vec![OpResult::Check, OpResult::Delete] };
    assert_eq!(applied.first_error(), None);
    let hex =
        "0000002b | 00000003 | 0000000100000006 | 00000000 | 0000000d 00 00000000 | 00000002 00 00000000 |
        ffffffff 01 ffffffff";
    assert_reply(hex, ok, OpCode::MULTI, Some(&Response::Multi(applied)));

    let failed = MultiResponse {
        results: vec![
            OpResult::Error(ErrorCode::BAD_VERSION),
            OpResult::Error(ErrorCode::RUNTIME_INCONSISTENCY),
        ],
    };
    assert_eq!(failed.first_error(), Some(ErrorCode::BAD_VERSION));
    let hex = "00000033 | 00000003 | 0000000100000006 | 00000000 | ffffffff 00 ffffff99 | ffffff99 | ffffffff 00 fffffffe |
        fffffffe | ffffffff 01 ffffffff";
    assert_reply(hex, ok, OpCode::MULTI, Some(&Response::Multi(failed)));
}

#[test]
fn the_results_of_a_multi_are_told_apart_though_all_their_bytes_are_zero() {
    let stats = MultiResponse { results: vec![OpResult::SetData(SetDataResponse::default())] };
    let part = format!("00000005 00 00000000 | {:0136}", 0);
    let hex = format!("00000066 | 00000003 | 0000000100000006 | 00000000 | {part} | ffffffff 01 ffffffff");
    let header = header(3, 0x1_0000_0006, ErrorCode::OK);
    assert_reply(&hex, header, OpCode::MULTI, Some(&Response::Multi(stats)));
}

#[test]
fn the_first_error_is_the_culprits() {
    let first = |codes: &[i32]| {
        let results = codes.iter().map(|code| OpResult::Error(ErrorCode(*code))).collect();
        MultiResponse { results }.first_error()
    };
    assert_eq!(first(&[0, -101, -2]), Some(ErrorCode::NO_NODE));
    assert_eq!(first(&[-2, -101]), Some(ErrorCode::NO_NODE));
    assert_eq!(first(&[0, -2]), Some(ErrorCode::RUNTIME_INCONSISTENCY));
    assert_eq!(first(&[0, 0]), Some(ErrorCode::OK));
    assert_eq!(first(&[]), None);
}

#[test]
fn a_null_token_is_not_an_empty_one() {
    let request = Request::Sasl(GetSaslRequest { token: Some(Bytes::new()) });
    assert_request("0000000c | 00000001 | 00000066 | 00000000", 1, &request);
    let response = Response::Sasl(SetSaslResponse { token: None });
    let hex = "00000014 | 00000001 | 0000000000000000 | 00000000 | ffffffff";
    assert_reply(hex, header(1, 0, ErrorCode::OK), OpCode::SASL, Some(&response));
}

#[test]
fn a_null_vector_is_not_an_empty_one() {
    let watches = |data_watches| {
        Request::SetWatches(SetWatches {
            relative_zxid: Zxid(0x1_0000_0003),
            data_watches,
            exist_watches: Vector::EMPTY,
            child_watches: Vector::NULL,
        })
    };
    let hex =
        "00000022 | fffffff8 | 00000065 | 0000000100000003 | 00000001 | 00000002 2f61 | 00000000 | ffffffff";
    assert_request(hex, -8, &watches(Vector::from_strs(["/a"])));
    assert_ne!(watches(Vector::EMPTY), watches(Vector::NULL));
}

#[test]
fn an_error_names_record_field_and_values() {
    let decode = |op, hex| {
        let payload = Bytes::from(bytes(hex));
        Request::decode(op, &mut Reader::new(&payload)).unwrap_err().to_string()
    };
    let create = OpCode::CREATE;
    assert_eq!(decode(create, ""), "CreateRequest.path: 4 more byte(s) needed");
    assert_eq!(decode(create, "0000"), "CreateRequest.path: 2 more byte(s) needed");
    assert_eq!(
        decode(OpCode::DELETE, "00000001 61 | ffffff"),
        "DeleteRequest.version: 1 more byte(s) needed"
    );
    assert_eq!(decode(create, "00000001 61 | 00000005 0102"), "CreateRequest.data: 3 more byte(s) needed");
    assert_eq!(decode(create, "00000001 61 | fffffff9"), "CreateRequest.data: length -7 is negative");
    assert_eq!(decode(create, "ffffffff ffffffff fffffff9"), "CreateRequest.acl: count -7 is negative");
    assert_eq!(
        decode(create, "ffffffff ffffffff 00000002 00000000"),
        "CreateRequest.acl: count 2 needs at least 24 byte(s), 4 left"
    );
    assert_eq!(
        decode(create, "ffffffff ffffffff 00000001 0000001f 00000009 776f726c64"),
        "Id.scheme: 4 more byte(s) needed"
    );
    assert_eq!(decode(OpCode(99), ""), "RequestHeader.type: unknown operation 99");
    assert_eq!(decode(OpCode::MULTI, "0000004d 00 ffffffff"), "MultiHeader.type: unknown operation 77");
    assert_eq!(decode(OpCode::MULTI, ""), "MultiHeader.type: 4 more byte(s) needed");
}

#[test]
fn elements_can_be_borrowed() {
    let children: Vector<Ustring> = ["a", "b"].into_iter().map(Ustring::from).collect();
    assert_eq!(children, Vector::from_strs(["a", "b"]));
    assert_eq!(children.iter_bytes().collect::<Vec<_>>(), [b"a", b"b"]);
    assert_eq!(children.iter_str().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(format!("{children:?}"), r#"["a", "b"]"#);
    assert_eq!(format!("{:?}", Vector::<Ustring>::NULL), "null");
}
