use alloc::vec;
use alloc::vec::Vec;
use core::ffi::{c_int, c_void};

/// Something that happened.
pub(crate) struct Input {
    pub(crate) tag: u8,
    /// When, in milliseconds.
    pub(crate) at: u64,
    pub(crate) bytes: Vec<u8>,
}

/// None if nobody listens any more.
pub(crate) fn say(tag: u8, bytes: &[u8]) -> Option<()> {
    let length = u32::try_from(bytes.len()).ok()?;
    [&[tag], &length.to_be_bytes()[..], bytes].into_iter().try_for_each(write_all)
}

/// None at the end.
pub(crate) fn hear() -> Option<Input> {
    let mut head = [0; 13];
    read_exact(&mut head)?;
    let [tag, rest @ ..] = head;
    let (at, length) = rest.split_at(8);
    let length = u32::from_be_bytes(length.try_into().ok()?);
    let mut bytes = vec![0; usize::try_from(length).ok()?];
    read_exact(&mut bytes)?;
    Some(Input { tag, at: u64::from_be_bytes(at.try_into().ok()?), bytes })
}

fn write_all(mut bytes: &[u8]) -> Option<()> {
    while !bytes.is_empty() {
        // SAFETY: so many bytes can be read there.
        let written = unsafe { write(1, bytes.as_ptr().cast(), bytes.len()) };
        bytes = bytes.get(usize::try_from(written).ok().filter(|&written| written > 0)?..)?;
    }
    Some(())
}

fn read_exact(mut buffer: &mut [u8]) -> Option<()> {
    while !buffer.is_empty() {
        // SAFETY: so many bytes can be written there.
        let received = unsafe { read(0, buffer.as_mut_ptr().cast(), buffer.len()) };
        buffer = buffer.get_mut(usize::try_from(received).ok().filter(|&received| received > 0)?..)?;
    }
    Some(())
}

#[link(name = "c")]
unsafe extern "C" {
    fn read(file: c_int, buffer: *mut c_void, count: usize) -> isize;
    fn write(file: c_int, buffer: *const c_void, count: usize) -> isize;
}
