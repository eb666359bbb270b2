use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use crate::jute::{NULL, put_length};
use crate::{DecodeError, Jute, Reader, Value};

/// jute's `ustring`: text or null.
///
/// The bytes are kept exactly as they came, whatever they are, so nothing is lost on the way
/// back. They should be UTF-8, and are when they were made from a `str`; but a Java server sends a
/// character beyond U+FFFF as two surrogates of three bytes each (CESU-8), which [`to_str`](Self::to_str) pairs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ustring(Option<Bytes>);

impl Ustring {
    /// The null string, length -1 on the wire. It differs from the empty string.
    pub const NULL: Self = Self(None);

    /// Refers to text that lives forever.
    pub const fn from_static(text: &'static str) -> Self {
        Self(Some(Bytes::from_static(text.as_bytes())))
    }

    /// Takes the bytes as they are, even if they aren't UTF-8.
    pub const fn from_bytes(bytes: Bytes) -> Self {
        Self(Some(bytes))
    }

    #[inline]
    pub(crate) fn from_wire(bytes: Option<Bytes>) -> Self {
        Self(bytes)
    }

    /// Whether this is null.
    pub fn is_null(&self) -> bool {
        self.0.is_none()
    }

    /// The bytes on the wire; none for null.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }

    /// The text, if it is not null and strict UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        core::str::from_utf8(self.0.as_deref()?).ok()
    }

    /// The text: UTF-8; failing that, with CESU-8's surrogates paired; failing that, with U+FFFD for
    /// what isn't text. Null is the empty text.
    pub fn to_str(&self) -> Cow<'_, str> {
        text_of(self.as_bytes())
    }

    /// The bytes on the wire, `None` for null.
    pub fn into_bytes(self) -> Option<Bytes> {
        self.0
    }

    /// The length on the wire in bytes; 0 for null.
    #[inline]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether there are no bytes: for null and for the empty text.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<&str> for Ustring {
    fn from(text: &str) -> Self {
        Self(Some(Bytes::copy_from_slice(text.as_bytes())))
    }
}

impl From<String> for Ustring {
    fn from(text: String) -> Self {
        Self(Some(Bytes::from(text)))
    }
}

impl From<&String> for Ustring {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<&Self> for Ustring {
    fn from(text: &Self) -> Self {
        text.clone()
    }
}

impl fmt::Display for Ustring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_str())
    }
}

impl fmt::Debug for Ustring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_null() { f.write_str("null") } else { fmt::Debug::fmt(&*self.to_str(), f) }
    }
}

impl PartialEq<str> for Ustring {
    fn eq(&self, other: &str) -> bool {
        self.0.as_deref() == Some(other.as_bytes())
    }
}

impl PartialEq<&str> for Ustring {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

impl Jute for Ustring {
    const MIN_LEN: usize = 4;

    #[inline(always)]
    fn encode(&self, out: &mut BytesMut) {
        let Some(bytes) = &self.0 else { return out.put_i32(NULL) };
        put_length(out, bytes.len());
        out.put_slice(bytes);
    }

    #[inline]
    fn encoded_len(&self) -> usize {
        4 + self.len()
    }

    #[inline]
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        input.ustring()
    }

    #[inline]
    fn skip(input: &mut Reader<'_>) -> Result<(), DecodeError> {
        input.bytes().map(drop)
    }

    fn to_value(&self) -> Value {
        Value::Ustring(self.clone())
    }
}

pub(crate) fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    match core::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(match String::from_utf8(pair_surrogates(bytes)) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }),
    }
}

/// Replaces each high and low surrogate of three bytes by the four bytes of their character.
fn pair_surrogates(mut bytes: &[u8]) -> Vec<u8> {
    let mut paired = Vec::with_capacity(bytes.len());
    while let [first, rest @ ..] = bytes {
        if let [0xED, a @ 0xA0..=0xAF, b @ 0x80..=0xBF, 0xED, c @ 0xB0..=0xBF, d @ 0x80..=0xBF, after @ ..] =
            bytes
        {
            let high = (u32::from(a & 0x0F) << 6) | u32::from(b & 0x3F);
            let low = (u32::from(c & 0x0F) << 6) | u32::from(d & 0x3F);
            let char =
                char::from_u32(0x1_0000 + (high << 10) + low).expect("20 bits above U+FFFF are a character");
            paired.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            bytes = after;
        } else {
            paired.push(*first);
            bytes = rest;
        }
    }
    paired
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surrogates_of_three_bytes_are_paired() {
        let wire = Ustring::from_bytes(Bytes::from_static(b"u\xED\xA0\xBD\xED\xB8\x80:x"));
        assert_eq!(wire.to_str(), "u\u{1F600}:x");
        assert_eq!(wire.as_str(), None);
        assert_eq!(wire.as_bytes(), b"u\xED\xA0\xBD\xED\xB8\x80:x");
    }

    #[test]
    fn the_first_and_the_last_pair_are_the_ends_of_the_supplementary_planes() {
        let wire =
            Ustring::from_bytes(Bytes::from_static(b"\xED\xA0\x80\xED\xB0\x80\xED\xAF\xBF\xED\xBF\xBF"));
        assert_eq!(wire.to_str(), "\u{10000}\u{10FFFF}");
    }

    #[test]
    fn what_is_no_text_is_replaced_but_kept() {
        let wire = Ustring::from_bytes(Bytes::from_static(b"a\xED\xA0\xBDb\xFF"));
        assert!(wire.to_str().starts_with('a') && wire.to_str().contains('\u{FFFD}'));
        assert_eq!(wire.into_bytes().as_deref(), Some(&b"a\xED\xA0\xBDb\xFF"[..]));
    }

    #[test]
    fn null_is_not_empty() {
        assert_ne!(Ustring::NULL, Ustring::from(""));
        assert_eq!(alloc::format!("{:?} {:?}", Ustring::NULL, Ustring::from("")), "null \"\"");
    }
}
