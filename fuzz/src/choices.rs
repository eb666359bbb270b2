/// Bytes that choose what happens; zeros once they are used up.
#[derive(Clone)]
pub(crate) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub(crate) fn are_used_up(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.some(1).first().copied().unwrap_or(0)
    }

    /// True for one byte in so many.
    pub(crate) fn one_in(&mut self, many: u8) -> bool {
        self.byte().is_multiple_of(many)
    }

    pub(crate) fn short(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    pub(crate) fn int(&mut self) -> i32 {
        i32::from(self.short()) << 16 | i32::from(self.short())
    }

    pub(crate) fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }

    /// At most so many bytes.
    pub(crate) fn some(&mut self, count: usize) -> &'a [u8] {
        let (head, tail) = self.0.split_at(count.min(self.0.len()));
        self.0 = tail;
        head
    }

    /// As many bytes as the next one says, as far as there are so many.
    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let count = self.byte();
        self.some(count.into())
    }
}
