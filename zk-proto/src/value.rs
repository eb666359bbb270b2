use alloc::vec::Vec;

use bytes::Bytes;

use crate::Ustring;

/// A jute value as a tree, for tools that print or compare records without knowing their types.
///
/// It shows everything, passwords and tokens included, unlike the `Debug` of the records.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "jute's types are final; a printer must handle each")]
pub enum Value {
    /// An `int`.
    Int(i32),
    /// A `long`.
    Long(i64),
    /// A `boolean`.
    Boolean(bool),
    /// A `buffer`, or null.
    Buffer(Option<Bytes>),
    /// A `ustring`, or null.
    Ustring(Ustring),
    /// A `vector`, or null.
    Vector(Option<Vec<Self>>),
    /// A record: its fields by their jute names, in wire order.
    Record(Vec<(&'static str, Self)>),
}
