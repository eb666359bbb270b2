use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;
use core::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use crate::jute::{NULL, put_length};
use crate::ustring::text_of;
use crate::{DecodeError, Jute, Reader, Ustring, Value};

/// jute's `vector<T>` in its wire form: null, or a count of elements.
///
/// Decoding checks every element but keeps only the slice of the payload that they occupy; they are
/// decoded while iterating. So decoding allocates nothing, however many there are.
pub struct Vector<T> {
    /// The count of elements, -1 for null, and the elements.
    wire: Bytes,
    element: PhantomData<fn() -> T>,
}

impl<T: Jute> Vector<T> {
    /// The null vector, count -1 on the wire. It differs from the empty vector.
    pub const NULL: Self = Self::from_static_wire(&[0xFF; COUNT_LEN]);

    /// The vector without elements.
    pub const EMPTY: Self = Self::from_static_wire(&[0; COUNT_LEN]);

    /// Refers to an encoding that lives forever; it must be sound.
    pub(crate) const fn from_static_wire(wire: &'static [u8]) -> Self {
        Self { wire: Bytes::from_static(wire), element: PhantomData }
    }

    /// Whether this is null.
    pub fn is_null(&self) -> bool {
        self.count() == NULL
    }

    /// The number of elements; 0 for null.
    pub fn len(&self) -> usize {
        usize::try_from(self.count()).unwrap_or(0)
    }

    fn count(&self) -> i32 {
        self.wire.first_chunk().map_or(NULL, |count| i32::from_be_bytes(*count))
    }

    /// The elements' encodings, one after the other.
    fn elements(&self) -> Reader<'_> {
        let mut input = Reader::new(&self.wire);
        input.int().expect("a vector begins with its count");
        input
    }

    /// Whether there are no elements: for null and for the empty vector.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Decodes the elements one after the other.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { input: self.elements(), left: self.len(), element: PhantomData }
    }

    /// The elements, none for null.
    pub fn to_vec(&self) -> Vec<T> {
        self.iter().collect()
    }
}

impl Vector<Ustring> {
    /// Encodes the texts.
    pub fn from_strs(texts: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut wire = BytesMut::zeroed(COUNT_LEN);
        let mut count = 0;
        for text in texts {
            let text = text.as_ref().as_bytes();
            wire.reserve(4 + text.len());
            put_length(&mut wire, text.len());
            wire.put_slice(text);
            count += 1;
        }
        Self::counted(count, wire)
    }

    /// The bytes of each string, borrowed; none for a null.
    pub fn iter_bytes(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.places().map(|place| self.wire.get(place).unwrap_or_default())
    }

    /// The text of each string as [`Ustring::to_str`] gives it, borrowed where it is UTF-8.
    pub fn iter_str(&self) -> impl ExactSizeIterator<Item = Cow<'_, str>> {
        // The lengths between ordinary names are text too, to a decoder: so one look at the whole tells of each.
        let elements = self.wire.get(COUNT_LEN..).unwrap_or_default();
        let text = core::str::from_utf8(elements).ok();
        self.places().map(move |place| {
            let place = place.start - COUNT_LEN..place.end - COUNT_LEN;
            match text.and_then(|text| text.get(place.clone())) {
                Some(name) => Cow::Borrowed(name),
                None => text_of(elements.get(place).unwrap_or_default()),
            }
        })
    }

    /// Where in the wire form the bytes of each string lie.
    fn places(&self) -> impl ExactSizeIterator<Item = Range<usize>> {
        let mut input = self.elements();
        (0..self.len()).map(move |_| {
            let len = input.bytes().expect(CHECKED).unwrap_or_default().len();
            input.position() - len..input.position()
        })
    }
}

impl<T> Vector<T> {
    /// Writes the count to the place that was left for it.
    fn counted(count: usize, mut wire: BytesMut) -> Self {
        let count = i32::try_from(count).expect("jute has counts of 31 bits");
        wire[..COUNT_LEN].copy_from_slice(&count.to_be_bytes());
        Self { wire: wire.freeze(), element: PhantomData }
    }
}

impl<T: Jute> FromIterator<T> for Vector<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        let mut wire = BytesMut::zeroed(COUNT_LEN);
        let mut count = 0;
        for element in elements {
            wire.reserve(element.encoded_len());
            element.encode(&mut wire);
            count += 1;
        }
        Self::counted(count, wire)
    }
}

impl<T: Jute> From<&[T]> for Vector<T> {
    fn from(elements: &[T]) -> Self {
        let len = elements.iter().map(Jute::encoded_len).sum::<usize>();
        let mut wire = BytesMut::with_capacity(COUNT_LEN + len);
        put_length(&mut wire, elements.len());
        elements.iter().for_each(|element| element.encode(&mut wire));
        Self { wire: wire.freeze(), element: PhantomData }
    }
}

impl<T: Jute> From<Vec<T>> for Vector<T> {
    fn from(elements: Vec<T>) -> Self {
        Self::from(elements.as_slice())
    }
}

impl<T: Jute, const N: usize> From<[T; N]> for Vector<T> {
    fn from(elements: [T; N]) -> Self {
        Self::from(elements.as_slice())
    }
}

impl<T> Clone for Vector<T> {
    fn clone(&self) -> Self {
        Self { wire: self.wire.clone(), element: PhantomData }
    }
}

impl<T> PartialEq for Vector<T> {
    fn eq(&self, other: &Self) -> bool {
        self.wire == other.wire
    }
}

impl<T> Eq for Vector<T> {}

impl<T> Hash for Vector<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.wire.hash(state);
    }
}

impl<T: Jute> Default for Vector<T> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<T: Jute + fmt::Debug> fmt::Debug for Vector<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_null() { f.write_str("null") } else { f.debug_list().entries(self.iter()).finish() }
    }
}

impl<'a, T: Jute> IntoIterator for &'a Vector<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T: Jute> Jute for Vector<T> {
    const MIN_LEN: usize = 4;

    #[inline]
    fn encode(&self, out: &mut BytesMut) {
        out.put_slice(&self.wire);
    }

    #[inline]
    fn encoded_len(&self) -> usize {
        self.wire.len()
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = input.position();
        Self::skip(input)?;
        Ok(Self { wire: input.since(start), element: PhantomData })
    }

    fn skip(input: &mut Reader<'_>) -> Result<(), DecodeError> {
        let count = input.count(T::MIN_LEN)?.unwrap_or(0);
        (0..count).try_for_each(|_| T::skip(input))
    }

    fn to_value(&self) -> Value {
        Value::Vector((!self.is_null()).then(|| self.iter().map(|element| element.to_value()).collect()))
    }
}

/// The elements of a [`Vector`], decoded one after the other.
#[derive(Clone, Debug)]
pub struct Iter<'a, T> {
    input: Reader<'a>,
    left: usize,
    element: PhantomData<fn() -> T>,
}

impl<T: Jute> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.left = self.left.checked_sub(1)?;
        Some(T::decode(&mut self.input).expect(CHECKED))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T: Jute> ExactSizeIterator for Iter<'_, T> {}

/// The bytes of a vector's count.
const COUNT_LEN: usize = 4;
const CHECKED: &str = "every element was checked when the vector was decoded, or was encoded here";

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;

    #[test]
    fn names_are_told_one_by_one_whatever_the_lengths_between_them_look_like() {
        let long = "n".repeat(0x80);
        let names = ["", "a", "\u{e9}t\u{e9}", &long, "\u{1F600}", &"x".repeat(0xC3A9), "z"];
        assert!(Vector::from_strs(names).iter_str().eq(names));
        // Together the halves are text, and each for itself isn't.
        let halves: Vec<_> =
            [&b"a\xC3"[..], b"\xA9b", b"c"].map(|half| Ustring::from_bytes(half.to_vec().into())).into();
        let expected = halves.iter().map(Ustring::to_str);
        assert!(Vector::from(halves.clone()).iter_str().eq(expected));
        let many = (0..1000).map(|number| alloc::format!("n-{number}")).collect::<Vec<_>>();
        let many_told = Vector::from_strs(&many);
        assert!(many_told.iter_str().eq(many.iter().map(String::as_str)));
        assert!(many_told.iter_str().all(|name| matches!(name, Cow::Borrowed(_))));
        let nulls = Vector::from([Ustring::NULL, Ustring::from("x")]);
        assert!(nulls.iter_str().eq(["", "x"]) && nulls.iter_bytes().eq([&b""[..], b"x"]));
    }
}
