//! Time that doesn't count: two states that differ in nothing but when they are reached are one.

use core::hash::Hasher;

/// A hasher to which moments are so far from now. The model's clock begins so late that no other number of 64 bits
/// in a state comes near: ids and positions in streams are small, zxids and session ids are signed.
pub(crate) struct Relative<H> {
    inner: H,
    now: u64,
}

impl<H: Hasher> Relative<H> {
    pub(crate) fn new(inner: H, now: u64) -> Self {
        Self { inner, now }
    }
}

impl<H: Hasher> Hasher for Relative<H> {
    fn finish(&self) -> u64 {
        self.inner.finish()
    }

    fn write(&mut self, bytes: &[u8]) {
        self.inner.write(bytes);
    }

    fn write_u64(&mut self, number: u64) {
        let is_moment = (EPOCH_NANOS / 2..EPOCH_NANOS * 2).contains(&number);
        self.inner.write_u64(if is_moment { number.wrapping_sub(self.now) } else { number });
    }

    fn write_u8(&mut self, number: u8) {
        self.inner.write_u8(number);
    }

    fn write_u32(&mut self, number: u32) {
        self.inner.write_u32(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.inner.write_usize(number);
    }
}

/// When each session is made, by the model's clock.
pub(crate) const EPOCH_NANOS: u64 = 1 << 40;
