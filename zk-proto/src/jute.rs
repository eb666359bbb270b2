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
    /// What strings and buffers share: it holds the payload.
    memory: &'a Bytes,
    /// Where the payload begins and ends in it.
    start: usize,
    end: usize,
    unread: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Stands at the payload's beginning.
    #[inline]
    pub fn new(payload: &'a Bytes) -> Self {
        Self { memory: payload, start: 0, end: payload.len(), unread: payload }
    }

    /// Stands at the beginning of a payload of `len` bytes that begins at `start`; none if it isn't there.
    #[inline]
    pub(crate) fn part(memory: &'a Bytes, start: usize, len: usize) -> Option<Self> {
        let unread = memory.get(start..)?.get(..len)?;
        Some(Self { memory, start, end: start + len, unread })
    }

    /// Has nothing to read.
    pub(crate) fn end(memory: &'a Bytes) -> Self {
        Self { memory, start: memory.len(), end: memory.len(), unread: &[] }
    }

    /// How many bytes have been read.
    #[inline]
    pub fn position(&self) -> usize {
        self.place() - self.start
    }

    /// The same, counted from where the memory begins.
    #[inline]
    fn place(&self) -> usize {
        self.end - self.unread.len()
    }

    /// How many bytes are left.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.unread.len()
    }

    /// The bytes left, without reading them.
    pub fn rest(&self) -> Bytes {
        self.memory.slice(self.place()..self.end)
    }

    /// Leaves so many bytes out, or all, if fewer are left.
    #[inline]
    pub(crate) fn skip(&mut self, len: usize) {
        self.unread = self.unread.get(len..).unwrap_or_default();
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
    #[inline(always)]
    pub fn buffer(&mut self) -> Result<Option<Bytes>, DecodeError> {
        let bytes = self.bytes()?;
        let end = self.place();
        Ok(bytes.map(|bytes| self.memory.slice(end - bytes.len()..end)))
    }

    /// Reads a `ustring`.
    ///
    /// # Errors
    /// As [`buffer`](Self::buffer). The bytes themselves are not looked at.
    #[inline(always)]
    pub fn ustring(&mut self) -> Result<crate::Ustring, DecodeError> {
        self.buffer().map(crate::Ustring::from_wire)
    }

    /// Reads a `buffer` or `ustring` without sharing its memory: null is `None`.
    ///
    /// # Errors
    /// As [`buffer`](Self::buffer).
    #[inline(always)]
    pub fn bytes(&mut self) -> Result<Option<&'a [u8]>, DecodeError> {
        if let Some((len, rest)) = self.unread.split_first_chunk()
            && let Some((bytes, rest)) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)
        {
            self.unread = rest;
            return Ok(Some(bytes));
        }
        // By value: a reader that nothing else refers to is kept in registers.
        let (after, null) = self.clone().null();
        *self = after;
        null
    }

    /// Reads the length of a string or buffer that isn't there: it's null, or wrong.
    #[cold]
    fn null<T>(mut self) -> (Self, Result<Option<T>, DecodeError>) {
        let start = self.position();
        let null = self.int().and_then(|announced| match usize::try_from(announced) {
            Err(_) if announced == NULL => Ok(None),
            Err(_) => Err(DecodeError::new(start, DecodeErrorKind::NegativeLength(announced))),
            Ok(len) => {
                let missing = len - self.remaining();
                Err(DecodeError::new(start, DecodeErrorKind::Short { missing }))
            }
        });
        (self, null)
    }

    /// The bytes read since the reader stood at `start`.
    pub(crate) fn since(&self, start: usize) -> Bytes {
        self.memory.slice(self.start + start..self.place())
    }

    /// Reads the count of a vector whose elements have at least `min_len` bytes each; `None` is null.
    pub(crate) fn count(&mut self, min_len: usize) -> Result<Option<usize>, DecodeError> {
        let start = self.position();
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
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.chunk() {
            Some(array) => Ok(*array),
            None => {
                let missing = N - self.remaining();
                Err(DecodeError::new(self.position(), DecodeErrorKind::Short { missing }))
            }
        }
    }

    /// Reads so many bytes, if they are there.
    #[inline]
    pub(crate) fn chunk<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (chunk, rest) = self.unread.split_first_chunk()?;
        self.unread = rest;
        Some(chunk)
    }
}

/// Names the field of a fixed record at which the bytes end.
#[cold]
pub(crate) fn too_short<T: Jute>(mut input: Reader<'_>) -> DecodeError {
    T::skip(&mut input).expect_err("too short for all fields is too short for one")
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
        input.bytes().map(drop)
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
