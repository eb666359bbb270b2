use bytes::{BufMut, Bytes, BytesMut};

use crate::{DecodeError, DecodeErrorKind, Value};

/// A value with a jute encoding.
pub trait Jute: Sized {
    /// The fewest bytes that a value can occupy. Never 0, so that a count can be checked against
    /// the bytes left before anything is done about it.
    const MIN_LEN: usize;

    /// Appends the encoding.
    ///
    /// # Panics
    /// If a string or buffer is longer than jute's 2,147,483,647 bytes.
    fn encode(&self, out: &mut BytesMut);

    /// The length of the encoding in bytes.
    fn encoded_len(&self) -> usize;

    /// Reads a value, and leaves what follows it.
    ///
    /// # Errors
    /// If the bytes are no such value; where the reader stands then is unspecified.
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Reads past a value: fails exactly where [`decode`](Self::decode) does.
    ///
    /// # Errors
    /// As `decode`.
    fn skip(input: &mut Reader<'_>) -> Result<(), DecodeError> {
        Self::decode(input).map(drop)
    }

    /// The value as a tree that knows no types, for tools that print or compare.
    fn to_value(&self) -> Value;
}

/// A record declared in ZooKeeper's `zookeeper.jute`.
pub trait Record: Jute {
    /// The record's name there.
    const NAME: &'static str;
    /// Its fields in wire order.
    const FIELDS: &'static [Field];
}

/// A field of a record, as `zookeeper.jute` declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The field's name there, in camel case.
    pub name: &'static str,
    /// Its type there: `int`, `ustring`, `vector<ACL>`.
    pub jute_type: &'static str,
}

/// Reads jute values from one frame's payload, and can't leave it.
///
/// Strings and buffers come out as slices that share the payload's memory.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    payload: &'a Bytes,
    at: usize,
}

impl<'a> Reader<'a> {
    /// Stands at the payload's beginning.
    #[inline]
    pub fn new(payload: &'a Bytes) -> Self {
        Self { payload, at: 0 }
    }

    /// How many bytes have been read.
    #[inline]
    pub fn position(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.payload.len() - self.at
    }

    /// The bytes left, without reading them.
    pub fn rest(&self) -> Bytes {
        self.payload.slice(self.at..)
    }

    /// Reads an `int`.
    ///
    /// # Errors
    /// If fewer than 4 bytes are left.
    #[inline]
    pub fn int(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_be_bytes)
    }

    /// Reads a `long`.
    ///
    /// # Errors
    /// If fewer than 8 bytes are left.
    #[inline]
    pub fn long(&mut self) -> Result<i64, DecodeError> {
        self.array().map(i64::from_be_bytes)
    }

    /// Reads a `boolean`; any byte but 0 is true, as for Java's `DataInput`.
    ///
    /// # Errors
    /// If nothing is left.
    #[inline]
    pub fn boolean(&mut self) -> Result<bool, DecodeError> {
        self.array().map(|[byte]: [u8; 1]| byte != 0)
    }

    /// Reads a `buffer`: null is `None`, and differs from an empty one.
    ///
    /// # Errors
    /// If the length is below -1 or beyond the bytes left.
    #[inline]
    pub fn buffer(&mut self) -> Result<Option<Bytes>, DecodeError> {
        let Some(len) = self.length()? else { return Ok(None) };
        let start = self.at;
        self.at += len;
        Ok(Some(self.payload.slice(start..self.at)))
    }

    /// Reads a `ustring`.
    ///
    /// # Errors
    /// As [`buffer`](Self::buffer). The bytes themselves are not looked at.
    #[inline]
    pub fn ustring(&mut self) -> Result<crate::Ustring, DecodeError> {
        self.buffer().map(crate::Ustring::from_wire)
    }

    /// Reads past a string or buffer.
    #[inline]
    pub(crate) fn skip_buffer(&mut self) -> Result<(), DecodeError> {
        self.at += self.length()?.unwrap_or(0);
        Ok(())
    }

    /// Reads past a string or buffer and returns its bytes, empty for null.
    #[inline]
    pub(crate) fn borrow_buffer(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.length()?.unwrap_or(0);
        let bytes = self.unread().get(..len).unwrap_or_default();
        self.at += len;
        Ok(bytes)
    }

    /// Reads past `len` bytes that are known to be there, and returns them.
    pub(crate) fn since(&self, start: usize) -> Bytes {
        self.payload.slice(start..self.at)
    }

    /// Reads a length that the bytes left can satisfy; `None` is null.
    #[inline]
    fn length(&mut self) -> Result<Option<usize>, DecodeError> {
        let start = self.at;
        let announced = self.int()?;
        let Ok(len) = usize::try_from(announced) else {
            return if announced == NULL {
                Ok(None)
            } else {
                Err(DecodeError::new(start, DecodeErrorKind::NegativeLength(announced)))
            };
        };
        if len > self.remaining() {
            let missing = len - self.remaining();
            return Err(DecodeError::new(start, DecodeErrorKind::Short { missing }));
        }
        Ok(Some(len))
    }

    /// Reads the count of a vector whose elements have at least `min_len` bytes each; `None` is null.
    pub(crate) fn count(&mut self, min_len: usize) -> Result<Option<usize>, DecodeError> {
        let start = self.at;
        let count = self.int()?;
        let left = self.remaining();
        match usize::try_from(count) {
            Ok(elements) if elements <= left / min_len => Ok(Some(elements)),
            Ok(elements) => {
                let needed = elements as u64 * min_len as u64;
                Err(DecodeError::new(start, DecodeErrorKind::CountTooLarge { count, needed, left }))
            }
            Err(_) if count == NULL => Ok(None),
            Err(_) => Err(DecodeError::new(start, DecodeErrorKind::NegativeCount(count))),
        }
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let unread = self.unread();
        let Some(array) = unread.first_chunk::<N>() else {
            let missing = N - unread.len();
            return Err(DecodeError::new(self.at, DecodeErrorKind::Short { missing }));
        };
        self.at += N;
        Ok(*array)
    }

    #[inline]
    fn unread(&self) -> &'a [u8] {
        self.payload.get(self.at..).unwrap_or_default()
    }
}

/// A value that always has the same length, read and written at a place that is long enough.
pub(crate) trait Fixed: Sized {
    /// Writes to the beginning, and returns what follows.
    fn write(self, wire: &mut [u8]) -> &mut [u8];

    /// Reads from the beginning, and returns what follows too.
    fn read(wire: &[u8]) -> (Self, &[u8]);
}

impl Fixed for i32 {
    #[inline]
    fn write(self, wire: &mut [u8]) -> &mut [u8] {
        let (place, rest) = wire.split_first_chunk_mut().expect(LONG_ENOUGH);
        *place = self.to_be_bytes();
        rest
    }

    #[inline]
    fn read(wire: &[u8]) -> (Self, &[u8]) {
        let (bytes, rest) = wire.split_first_chunk().expect(LONG_ENOUGH);
        (Self::from_be_bytes(*bytes), rest)
    }
}

impl Fixed for i64 {
    #[inline]
    fn write(self, wire: &mut [u8]) -> &mut [u8] {
        let (place, rest) = wire.split_first_chunk_mut().expect(LONG_ENOUGH);
        *place = self.to_be_bytes();
        rest
    }

    #[inline]
    fn read(wire: &[u8]) -> (Self, &[u8]) {
        let (bytes, rest) = wire.split_first_chunk().expect(LONG_ENOUGH);
        (Self::from_be_bytes(*bytes), rest)
    }
}

impl Fixed for bool {
    #[inline]
    fn write(self, wire: &mut [u8]) -> &mut [u8] {
        let (place, rest) = wire.split_first_mut().expect(LONG_ENOUGH);
        *place = u8::from(self);
        rest
    }

    #[inline]
    fn read(wire: &[u8]) -> (Self, &[u8]) {
        let (byte, rest) = wire.split_first().expect(LONG_ENOUGH);
        (*byte != 0, rest)
    }
}

const LONG_ENOUGH: &str = "a fixed record's array is as long as its fields";

impl Jute for i32 {
    const MIN_LEN: usize = 4;

    #[inline]
    fn encode(&self, out: &mut BytesMut) {
        out.put_i32(*self);
    }

    #[inline]
    fn encoded_len(&self) -> usize {
        4
    }

    #[inline]
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        input.int()
    }

    fn to_value(&self) -> Value {
        Value::Int(*self)
    }
}

impl Jute for i64 {
    const MIN_LEN: usize = 8;

    #[inline]
    fn encode(&self, out: &mut BytesMut) {
        out.put_i64(*self);
    }

    #[inline]
    fn encoded_len(&self) -> usize {
        8
    }

    #[inline]
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        input.long()
    }

    fn to_value(&self) -> Value {
        Value::Long(*self)
    }
}

impl Jute for bool {
    const MIN_LEN: usize = 1;

    #[inline]
    fn encode(&self, out: &mut BytesMut) {
        out.put_u8(u8::from(*self));
    }

    #[inline]
    fn encoded_len(&self) -> usize {
        1
    }

    #[inline]
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        input.boolean()
    }

    fn to_value(&self) -> Value {
        Value::Boolean(*self)
    }
}

/// jute's `buffer`: `None` is null, which is not the empty buffer.
impl Jute for Option<Bytes> {
    const MIN_LEN: usize = 4;

    #[inline]
    fn encode(&self, out: &mut BytesMut) {
        let Some(bytes) = self else { return out.put_i32(NULL) };
        put_length(out, bytes.len());
        out.put_slice(bytes);
    }

    #[inline]
    fn encoded_len(&self) -> usize {
        4 + self.as_ref().map_or(0, Bytes::len)
    }

    #[inline]
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        input.buffer()
    }

    #[inline]
    fn skip(input: &mut Reader<'_>) -> Result<(), DecodeError> {
        input.skip_buffer()
    }

    fn to_value(&self) -> Value {
        Value::Buffer(self.clone())
    }
}

/// Appends the length of a string, buffer or frame, or the count of a vector.
#[inline]
pub(crate) fn put_length(out: &mut BytesMut, len: usize) {
    out.put_i32(wire_length(len));
}

#[inline]
pub(crate) fn wire_length(len: usize) -> i32 {
    i32::try_from(len).expect("jute has lengths of 31 bits")
}

/// The length or count that means null.
pub(crate) const NULL: i32 = -1;
