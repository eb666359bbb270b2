use core::fmt;

use crate::OpCode;

/// Why bytes from the other side are not the record they should be.
///
/// It names the jute record that declares the field, so a fault inside the `Stat` of a
/// `GetDataResponse` is told as `Stat.czxid`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{place}: {kind}", place = Place(self))]
pub struct DecodeError {
    record: &'static str,
    field: &'static str,
    at: usize,
    kind: DecodeErrorKind,
}

/// What is wrong at the place that a [`DecodeError`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The payload ends inside the field.
    #[error("{missing} more byte(s) needed")]
    Short {
        /// How many bytes are missing at least.
        missing: usize,
    },
    /// The length of a string or buffer is negative and not -1, which would be null.
    #[error("length {0} is negative")]
    NegativeLength(i32),
    /// The count of a vector is negative and not -1, which would be null.
    #[error("count {0} is negative")]
    NegativeCount(i32),
    /// The count of a vector is more than the bytes left can hold.
    #[error("count {count} needs at least {needed} byte(s), {left} left")]
    CountTooLarge {
        /// The announced count of elements.
        count: i32,
        /// The least that so many elements occupy, in bytes.
        needed: u64,
        /// The bytes left in the payload.
        left: usize,
    },
    /// The operation is none that has a request or a reply here.
    #[error("unknown operation {0}")]
    UnknownOpCode(OpCode),
    /// The whole message is too short to be this record in any of its versions.
    #[error("{len} byte(s), at least {needed} needed")]
    TooShort {
        /// The payload's length in bytes.
        len: usize,
        /// The length of the record's shortest version in bytes.
        needed: usize,
    },
}

impl DecodeError {
    #[cold]
    pub(crate) const fn new(at: usize, kind: DecodeErrorKind) -> Self {
        Self { record: "", field: "", at, kind }
    }

    /// Names the field, unless a record nested deeper has done so.
    #[cold]
    pub(crate) fn within(mut self, record: &'static str, field: &'static str) -> Self {
        if self.record.is_empty() {
            self.record = record;
            self.field = field;
        }
        self
    }

    /// The jute name of the record that declares the field; empty if a primitive was read by itself.
    pub fn record(&self) -> &'static str {
        self.record
    }

    /// The jute name of the field; empty where the record as a whole is meant.
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// The offset in the payload at which the field, or the faulty element of it, begins.
    pub fn at(&self) -> usize {
        self.at
    }

    /// What is wrong there.
    pub fn kind(&self) -> DecodeErrorKind {
        self.kind
    }
}

struct Place<'a>(&'a DecodeError);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.record, self.0.field) {
            ("", _) => write!(f, "offset {}", self.0.at),
            (record, "") => f.write_str(record),
            (record, field) => write!(f, "{record}.{field}"),
        }
    }
}
