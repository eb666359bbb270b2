//! Text as Java reads and writes it: what a server hands back isn't always what it was given.

use std::borrow::Cow;

use zk_session::zk_proto::{Bytes, Ustring};

/// What Java's UTF-8 decoder makes of a string: one U+FFFD for each part that isn't text, and one for a surrogate in
/// three bytes.
pub(crate) fn read(wire: &Ustring) -> Cow<'_, str> {
    let bytes = wire.as_bytes();
    if let Ok(text) = core::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut without_surrogates = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        if let [0xED, 0xA0..=0xBF, 0x80..=0xBF, after @ ..] = rest {
            without_surrogates.push(0xFF);
            rest = after;
        } else {
            without_surrogates.push(*first);
            rest = after;
        }
    }
    Cow::Owned(String::from_utf8_lossy(&without_surrogates).into_owned())
}

/// `BinaryOutputArchive.stringToByteBuffer`: a character beyond U+FFFF is two surrogates of three bytes each.
pub(crate) fn write(text: &str) -> Ustring {
    if !text.chars().any(|char| char > '\u{FFFF}') {
        return text.into();
    }
    let mut bytes = Vec::with_capacity(text.len() * 3 / 2);
    for char in text.chars() {
        if char <= '\u{FFFF}' {
            bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        for unit in char.encode_utf16(&mut [0; 2]) {
            let byte = |shift: u16, mask: u16, mark: u8| {
                mark | u8::try_from((*unit >> shift) & mask).expect("masked")
            };
            bytes.extend([byte(12, 0x0F, 0xE0), byte(6, 0x3F, 0x80), byte(0, 0x3F, 0x80)]);
        }
    }
    Ustring::from_bytes(Bytes::from(bytes))
}

/// A string that came in, as it goes out again; null stays null.
pub(crate) fn echo(wire: &Ustring) -> Ustring {
    if wire.is_null() { Ustring::NULL } else { write(&read(wire)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_two_bytes_goes_out_as_surrogates_and_comes_in_as_none() {
        let smile = write("u\u{1F600}");
        assert_eq!(smile.as_bytes(), b"u\xED\xA0\xBD\xED\xB8\x80");
        assert_eq!(read(&smile), "u\u{FFFD}\u{FFFD}");
        assert_eq!(read(&Ustring::from("u\u{1F600}")), "u\u{1F600}");
    }
}
