//! What the values of the protocol say of themselves: how they print, compare, and combine.

use core::hash::{Hash, Hasher as _};
use std::hash::DefaultHasher;

use zk_proto::{
    Bytes, ErrorCode, GetDataResponse, Id, IdError, Jute as _, Perms, Reader, SessionId, Stat, Ustring,
    Vector,
};

const KNOWN: [(Perms, &str); 5] = [
    (Perms::CREATE, "c"),
    (Perms::DELETE, "d"),
    (Perms::READ, "r"),
    (Perms::WRITE, "w"),
    (Perms::ADMIN, "a"),
];

#[test]
fn permissions_are_sets_of_bits() {
    let read_write = Perms::READ | Perms::WRITE;
    assert_eq!(read_write, Perms(3));
    assert_eq!(read_write | Perms::READ, read_write);
    assert_eq!(read_write & Perms(6), Perms::WRITE);
    assert_eq!(Perms::READ & Perms::WRITE, Perms::NONE);
    let mut all = Perms::NONE;
    for (bit, _) in KNOWN {
        assert!(!all.contains(bit) && !all.intersects(bit), "{bit}");
        all |= bit;
        assert!(all.contains(bit) && all.intersects(bit), "{bit}");
    }
    assert_eq!(all, Perms::ALL);
    all |= Perms::READ;
    assert_eq!(all, Perms::ALL);
}

#[test]
fn permissions_contain_all_bits_and_intersect_in_any() {
    let read_write = Perms::READ | Perms::WRITE;
    assert!(read_write.contains(Perms::WRITE) && !Perms::WRITE.contains(read_write));
    assert!(read_write.intersects(Perms::WRITE) && Perms::WRITE.intersects(read_write));
    assert!(read_write.contains(Perms::NONE) && !read_write.intersects(Perms::NONE));
    let read_admin = Perms::READ | Perms::ADMIN;
    assert!(read_write.intersects(read_admin) && !read_write.contains(read_admin));
}

#[test]
fn permissions_print_as_letters_and_unknown_ones_as_a_number() {
    let print = |perms: Perms| (perms.to_string(), format!("{perms:?}"));
    for (bit, letter) in KNOWN {
        assert_eq!(print(bit), (letter.into(), letter.into()));
    }
    for (perms, text) in [
        (Perms::ALL, "cdrwa"),
        (Perms::WRITE | Perms::CREATE, "cw"),
        (Perms::NONE, "0"),
        (Perms(32), "32"),
        (Perms::ALL | Perms(32), "63"),
        (Perms(-1), "-1"),
    ] {
        assert_eq!(print(perms), (text.into(), text.into()));
    }
}

#[test]
fn a_code_prints_zookeepers_name_if_it_has_one_and_its_number() {
    assert_eq!(ErrorCode::NO_NODE.to_string(), "NONODE (-101)");
    assert_eq!(ErrorCode(-4711).to_string(), "-4711");
}

#[test]
fn a_text_is_equal_to_the_same_bytes_alone() {
    let text = String::from("/a");
    let wire = Ustring::from(&text);
    assert_eq!(wire.as_bytes(), b"/a");
    assert_eq!(Ustring::from(&wire), wire);
    assert!(wire == "/a" && wire == *"/a");
    for other in ["", "/", "/b", "/aa"] {
        assert!(wire != other && wire != *other, "{other:?}");
        assert!(Ustring::NULL != other, "{other:?}");
    }
}

#[test]
fn a_vector_without_elements_is_empty_null_or_not() {
    for (vector, len) in [
        (Vector::<Ustring>::NULL, 0),
        (Vector::EMPTY, 0),
        (Vector::from_strs(["a"]), 1),
        (Vector::from_strs(["a", "b"]), 2),
    ] {
        assert_eq!((vector.len(), vector.is_empty()), (len, len == 0), "{vector:?}");
    }
}

#[test]
fn a_vector_tells_how_many_elements_are_left() {
    let vector = Vector::from_strs(["a", "b", "c"]);
    let mut elements = vector.iter();
    for left in [3, 2, 1, 0] {
        assert_eq!((elements.size_hint(), elements.len()), ((left, Some(left)), left));
        assert_eq!(elements.next().is_some(), left > 0);
    }
}

#[test]
fn equal_vectors_hash_alike_and_others_differently() {
    let hash = |vector: &Vector<Ustring>| {
        let mut hasher = DefaultHasher::new();
        vector.hash(&mut hasher);
        hasher.finish()
    };
    let vector = Vector::from_strs(["a", "b"]);
    assert_eq!(hash(&vector), hash(&["a", "b"].into_iter().map(Ustring::from).collect()));
    for other in [Vector::NULL, Vector::EMPTY, Vector::from_strs(["b", "a"])] {
        assert_ne!(hash(&vector), hash(&other), "{other:?}");
    }
}

#[test]
fn an_identity_has_its_scheme_and_is_never_empty() {
    let subject = "CN=bob,O=Example";
    let id = |scheme: &str, id: &str| Id { scheme: scheme.into(), id: id.into() };
    assert_eq!(Id::x509(subject), Ok(id("x509", subject)));
    assert_eq!(Id::sasl("bob"), Ok(id("sasl", "bob")));
    assert_eq!(Id::x509(""), Err(IdError::Empty { scheme: "x509" }));
    assert_eq!(Id::sasl(""), Err(IdError::Empty { scheme: "sasl" }));
}

#[test]
fn a_znode_with_an_owner_is_ephemeral() {
    assert!(!Stat::default().is_ephemeral());
    for owner in [SessionId(0x0100_0000_0000_0001), SessionId(-1)] {
        assert!(Stat { ephemeral_owner: owner, ..Stat::default() }.is_ephemeral(), "{owner}");
    }
}

#[test]
fn an_error_tells_the_nested_record_and_its_field() {
    // No data, and the first field of the stat in half.
    let payload = Bytes::from_static(&[0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]);
    let error = GetDataResponse::decode(&mut Reader::new(&payload)).expect_err("half a stat");
    assert_eq!((error.record(), error.field(), error.at()), ("Stat", "czxid", 4));
}
