//! What comparisons have found, one by one.

use zk_proto::{
    Acl, AddWatchMode, AddWatchRequest, Bytes, CheckWatchesRequest, CreateRequest, CreateTtlRequest,
    DeleteRequest, GetDataRequest, Id, Multi, OPEN_ACL_UNSAFE, Op, OpCode, Perms, Request, SetAclRequest,
    SetDataRequest, SyncRequest, Ustring, Vector, WatcherType,
};

use crate::{
    calls::Call,
    run,
    steps::{Hello, Password, Step, Whose},
};

/// One client asks; both answer alike.
fn check(requests: impl IntoIterator<Item = Request>) {
    let calls = requests.into_iter().map(Call::Request).collect();
    check_steps(&[Step::Ask(0, calls)]);
}

fn check_steps(steps: &[Step]) {
    if let Err(what) = run(steps) {
        panic!("{what}");
    }
}

fn create(path: impl Into<Ustring>, flags: i32) -> CreateRequest {
    CreateRequest { path: path.into(), data: None, acl: OPEN_ACL_UNSAFE, flags }
}

fn with_acl(
    path: &str,
    ids: impl IntoIterator<Item = (&'static str, Option<&'static str>)>,
) -> CreateRequest {
    let entry = |(scheme, id): (&str, Option<&str>)| {
        let id = Id { scheme: scheme.into(), id: id.map_or(Ustring::NULL, Ustring::from) };
        Acl::new(Perms::ALL, id)
    };
    CreateRequest { acl: ids.into_iter().map(entry).collect(), ..create(path, 0) }
}

fn get_data(path: impl Into<Ustring>) -> GetDataRequest {
    GetDataRequest { path: path.into(), watch: false }
}

#[test]
fn a_null_in_an_acl_fails_the_request_where_it_is_compared() {
    let null_scheme = Acl::new(Perms::ALL, Id { scheme: Ustring::NULL, id: "x".into() });
    let two = Vector::from([Acl::open(), null_scheme.clone()]);
    check([
        Request::Create(with_acl("/a", [("world", None)])),
        Request::Create(with_acl("/a", [("digest", None)])),
        Request::Create(with_acl("/a", [("ip", None)])),
        Request::Create(with_acl("/a", [("nobody", None)])),
        Request::Create(CreateRequest { acl: Vector::from([null_scheme]), ..create("/a", 0) }),
        Request::Create(CreateRequest { acl: two, ..create("/a", 0) }),
        Request::Create(CreateRequest { acl: Vector::NULL, ..create("/a", 0) }),
    ]);
}

#[test]
fn addresses_in_acls_are_read_as_java_reads_them() {
    let nets = [
        "127.0.0.1",
        "127.0.0.01",
        "127.0.0.+1",
        "127.0.0.1/",
        "127.0.0.1/+8",
        "127.0.0.1/8/8",
        "256.0.0.1",
        "::1",
        "::1/200",
        "1.2",
    ];
    let ask = |(number, net): (usize, &&'static str)| {
        Request::Create(with_acl(&format!("/a{number}"), [("ip", Some(*net))]))
    };
    check(nets.iter().enumerate().map(ask));
}

#[test]
fn a_null_path_is_refused_by_some_and_fails_others() {
    let null = Ustring::NULL;
    check([
        Request::SetData(SetDataRequest { path: null.clone(), data: None, version: -1 }),
        Request::SetAcl(SetAclRequest { path: null.clone(), acl: OPEN_ACL_UNSAFE, version: -1 }),
        Request::Delete(DeleteRequest { path: null.clone(), version: -1 }),
        Request::Create(create(null.clone(), 0)),
        Request::GetData(get_data(null.clone())),
        Request::Sync(SyncRequest { path: null }),
    ]);
}

#[test]
fn a_null_path_in_a_multi_fails_it_as_a_whole() {
    let multi = |ops: Vec<Op>| Request::Multi(Multi { ops });
    check([
        multi(vec![Op::Create(create("/a", 0)), Op::Create(create(Ustring::NULL, 0))]),
        Request::Create(create("/b", 0)),
    ]);
    check([
        multi(vec![Op::Create(CreateRequest { acl: Vector::NULL, ..create("/a", 0) })]),
        Request::Create(create("/b", 0)),
    ]);
}

#[test]
fn what_a_part_of_a_multi_creates_is_up_to_its_flags() {
    for flags in [0, 1, 2, 3, 4, 5, 6, 7, -1] {
        let plain = create("/a", flags);
        let ttl =
            CreateTtlRequest { path: "/a".into(), data: None, acl: OPEN_ACL_UNSAFE, flags, ttl: 3_600_000 };
        let ops = [
            Op::Create(plain.clone()),
            Op::Create2(plain.clone()),
            Op::CreateContainer(plain),
            Op::CreateTtl(ttl),
        ];
        for op in ops {
            let read = Request::GetData(get_data("/a"));
            check([Request::Multi(Multi { ops: vec![op] }), read]);
        }
    }
}

#[test]
fn a_multi_read_that_fails_has_the_parts_before() {
    let bad =
        [Op::GetData(get_data(Ustring::NULL)), Op::Delete(DeleteRequest { path: "/a".into(), version: -1 })];
    let read = |ops: Vec<Op>| Request::MultiRead(Multi { ops });
    for bad in bad {
        check([read(vec![Op::GetData(get_data("/")), bad.clone()]), read(vec![bad])]);
    }
}

#[test]
fn a_malformed_write_takes_a_zxid_or_not() {
    let ops =
        [OpCode::CREATE, OpCode::DELETE, OpCode::SET_DATA, OpCode::SET_ACL, OpCode::MULTI, OpCode::RECONFIG];
    for op in ops {
        let create = Call::Request(Request::Create(create("/a", 2)));
        check_steps(&[Step::Ask(0, vec![Call::Raw(op, Bytes::from_static(&[0, 0])), create])]);
    }
}

#[test]
fn a_negative_count_is_that_of_an_empty_vector() {
    let mut body = vec![0; 8];
    body.extend([0xFF, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFE, 0x80, 0, 0, 0]);
    check_steps(&[Step::Ask(0, vec![Call::Raw(OpCode::SET_WATCHES, body.into())])]);
}

#[test]
fn text_beyond_two_bytes_comes_back_as_surrogates_and_what_is_no_text_as_its_replacement() {
    let texts = [
        &b"/\xF0\x9F\x98\x80"[..],
        b"/\xED\xA0\xBD\xED\xB8\x80",
        b"/\xFF\xFF",
        b"/\xE2\x82",
        b"/\xF0\x9F\x98x",
    ];
    let sync = |text: &&'static [u8]| {
        Request::Sync(SyncRequest { path: Ustring::from_bytes(Bytes::from_static(text)) })
    };
    check(texts.iter().map(sync));
    let odd = with_acl("/a", [("digest", Some("\u{1F600}:x"))]);
    check([Request::Create(odd.clone())]);
    check([Request::Multi(Multi { ops: vec![Op::Create(odd)] })]);
}

#[test]
fn a_check_for_watches_needs_slashes_before_3_9() {
    let paths =
        ["/a", "a", "a/x", " /a", "", "/b", "//"].map(Ustring::from).into_iter().chain([Ustring::NULL]);
    let watched = |path: &str, mode| Request::AddWatch(AddWatchRequest { path: path.into(), mode });
    let checks: Vec<_> = paths
        .flat_map(|path| {
            let check = move |watcher_type| CheckWatchesRequest { path: path.clone(), watcher_type };
            [WatcherType::CHILDREN, WatcherType::DATA, WatcherType::ANY].map(check)
        })
        .map(|check| Call::Request(Request::CheckWatches(check)))
        .collect();
    let add = |request| Step::Ask(0, vec![Call::Request(request)]);
    check_steps(&[
        Step::Ask(1, checks.clone()),
        add(watched("/a", AddWatchMode::PERSISTENT)),
        add(watched(" /a", AddWatchMode::PERSISTENT)),
        Step::Ask(1, checks.clone()),
        add(watched("/b", AddWatchMode::PERSISTENT_RECURSIVE)),
        Step::Ask(1, checks),
    ]);
}

#[test]
fn the_hash_of_a_digest_is_that_of_the_whole_text() {
    for auth in ["bob", "", ":", "a:b:c", "bob:"] {
        let who = Call::Request(Request::WhoAmI);
        let create = Call::Request(Request::Create(with_acl("/a", [("auth", Some(""))])));
        check_steps(&[Step::Authenticate(0, "digest", Some(auth)), Step::Ask(0, vec![create, who])]);
    }
}

#[test]
fn a_renewal_with_a_wrong_password_drops_the_right_connection() {
    let wrong = Hello { password: Password::Wrong, ..Hello::new(Whose::Of(0)) };
    let ping = || Step::Ask(0, vec![Call::Request(Request::Ping)]);
    check_steps(&[ping(), Step::Open(1, wrong), ping(), ping()]);
}
