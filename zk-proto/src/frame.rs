use core::fmt;

use bytes::{Buf as _, Bytes, BytesMut};

use crate::{Jute as _, Reader, ReplyHeader};

/// Cuts a stream of bytes into frames: a length of 4 bytes, then so many bytes of payload.
///
/// Payloads are slices of the decoder's buffer, and the buffer is used again once they are dropped; or of what was
/// [handed over](Self::hand_over). A frame over the limit is told by its first bytes, then skipped without being stored, so the
/// stream stays in step. How much memory is taken follows the bytes that came, never a length that was announced.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FrameDecoder {
    buffer: BytesMut,
    /// What comes behind the buffer, and is cut where it lies.
    handed_over: Bytes,
    max_frame_len: usize,
    /// Bytes of an oversize frame, already told of, that are still to come.
    skip: usize,
    /// Bytes of that frame that came, with its length's 4.
    skipped: usize,
    failed: Option<FrameError>,
}

/// One frame of the stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a reader must handle both")]
pub enum Frame {
    /// The payload, without its length.
    Whole(Bytes),
    /// A frame over the limit.
    Oversize {
        /// Its first 16 bytes, enough for any header.
        header: Bytes,
        /// The payload's length in bytes.
        len: usize,
    },
}

/// Frames of a stream that were cut from it in one piece.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Frames {
    wire: Bytes,
    at: usize,
}

impl Frames {
    /// Reads the next payload; the reader can't leave it.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "an iterator can't lend")]
    pub fn next(&mut self) -> Option<Reader<'_>> {
        let (start, len) = self.payload(self.at)?;
        self.at = start + len;
        Reader::part(&self.wire, start, len)
    }

    /// Whether there are no frames, read or unread.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.wire.is_empty()
    }

    /// The header of the next payload, if that is a reply; the payload is still next.
    #[inline(always)]
    pub fn peek_reply(&self) -> Option<ReplyHeader> {
        let begin = self.wire.get(self.at..)?.first_chunk::<{ LEN + ReplyHeader::MIN_LEN }>()?;
        let (len, header) = (begin.first_chunk()?, begin.last_chunk()?);
        (u32::from_be_bytes(*len) as usize >= ReplyHeader::MIN_LEN).then(|| ReplyHeader::read(header))
    }

    /// Leaves the next payload out.
    #[inline]
    pub fn pass(&mut self) {
        if let Some(len) = self.len_at(self.at) {
            self.at += LEN + len;
        }
    }

    /// Where the frame begins that is next.
    #[inline]
    pub fn place(&self) -> usize {
        self.at
    }

    /// Reads what follows a reply's header, by where its frame begins. Where no reply begins there is nothing to read.
    #[inline]
    pub fn record(&self, place: usize) -> Reader<'_> {
        let payload = self.payload(place).and_then(|(start, len)| Reader::part(&self.wire, start, len));
        let mut reader = payload.unwrap_or_else(|| Reader::end(&self.wire));
        reader.skip(ReplyHeader::MIN_LEN);
        reader
    }

    /// Where the payload of the frame that begins there lies, and its length.
    #[inline]
    fn payload(&self, place: usize) -> Option<(usize, usize)> {
        Some((place + LEN, self.len_at(place)?))
    }

    #[inline(always)]
    fn len_at(&self, place: usize) -> Option<usize> {
        let len = self.wire.get(place..)?.first_chunk()?;
        Some(u32::from_be_bytes(*len) as usize)
    }
}

/// Shows how much there is, not the bytes: they can be a session's password.
impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames").field("len", &(self.wire.len() - self.at)).finish_non_exhaustive()
    }
}

/// A length that no frame can have: the stream can't be followed any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("frame: length {len} is negative")]
pub struct FrameError {
    /// The announced length, in bytes.
    pub len: i32,
}

impl FrameDecoder {
    /// Accepts payloads up to so many bytes. Takes no memory until bytes come.
    pub fn new(max_frame_len: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            handed_over: Bytes::new(),
            max_frame_len,
            skip: 0,
            skipped: 0,
            failed: None,
        }
    }

    /// Takes the stream's next bytes, cut anywhere. After an error they are dropped.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        let gone = self.pass(bytes.len());
        self.take_over();
        self.buffer.extend_from_slice(bytes.get(gone..).unwrap_or_default());
    }

    /// The same for bytes that the caller has done with: they aren't copied, as long as what came before them has been cut.
    /// Payloads are slices of them, and they are kept until those are dropped. Of what isn't whole yet a copy is kept.
    pub fn hand_over(&mut self, mut bytes: Bytes) {
        if self.failed.is_some() {
            return;
        }
        // Nothing of what is skipped is kept.
        drop(bytes.split_to(self.pass(bytes.len())));
        self.take_over();
        if !self.buffer.is_empty() {
            // First its length, then the frame.
            self.fill_up(&mut bytes, LEN);
            let announced = self.buffer.first_chunk::<LEN>().map(|len| u32::from_be_bytes(*len) as usize);
            let stored = announced.filter(|&len| len <= self.max_frame_len);
            self.fill_up(&mut bytes, stored.map_or(usize::MAX, |len| LEN.saturating_add(len)));
        }
        self.handed_over = bytes;
    }

    /// Copies from the front until so much is in the buffer, or nothing is left.
    fn fill_up(&mut self, bytes: &mut Bytes, len: usize) {
        let missing = len.saturating_sub(self.buffer.len()).min(bytes.len());
        self.buffer.extend_from_slice(&bytes.split_to(missing));
    }

    /// Copies what was handed over, so that it need not be kept.
    fn take_over(&mut self) {
        if !self.handed_over.is_empty() {
            self.buffer.extend_from_slice(&core::mem::take(&mut self.handed_over));
        }
    }

    /// All frames at once that are complete and come before any that is over the limit; none if there is none. It
    /// costs less than [`next`](Self::next) for each.
    pub fn next_all(&mut self) -> Option<Frames> {
        loop {
            let len = self.whole_frames(&self.buffer);
            if len > 0 {
                return Some(Frames { wire: self.buffer.split_to(len).freeze(), at: 0 });
            }
            if self.handed_over.is_empty() {
                return None;
            }
            let len = if self.buffer.is_empty() { self.whole_frames(&self.handed_over) } else { 0 };
            if len > 0 {
                return Some(Frames { wire: self.handed_over.split_to(len), at: 0 });
            }
            self.take_over();
        }
    }

    /// How long the frames are that can be cut from the front.
    #[inline]
    fn whole_frames(&self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        let (mut latest, mut len) = ([0; LEN], 0);
        while let Some((announced, after)) = rest.split_first_chunk::<LEN>() {
            // Many frames are as long as the one before: then the processor need not wait for the length of each to know where
            // the next one begins.
            if *announced != latest {
                latest = *announced;
                len = u32::from_be_bytes(latest) as usize;
                if len > self.max_frame_len {
                    break;
                }
            }
            let Some(next) = after.get(len..) else { break };
            rest = next;
        }
        bytes.len() - rest.len()
    }

    /// The next frame that is complete, or over the limit and begun.
    ///
    /// # Errors
    /// If a length is negative, as soon as its 4 bytes are there; from then on always.
    #[expect(clippy::should_implement_trait, reason = "None is not the end: more can be pushed")]
    pub fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.take_over();
        let Some(announced) = self.buffer.first_chunk::<LEN>() else { return Ok(None) };
        let announced = i32::from_be_bytes(*announced);
        let Ok(len) = usize::try_from(announced) else {
            let error = FrameError { len: announced };
            self.failed = Some(error);
            self.buffer = BytesMut::new();
            return Err(error);
        };
        let stored = if len > self.max_frame_len { len.min(HEADER) } else { len };
        if self.buffer.len() - LEN < stored {
            return Ok(None);
        }
        self.buffer.advance(LEN);
        let payload = self.buffer.split_to(stored).freeze();
        if len <= self.max_frame_len {
            return Ok(Some(Frame::Whole(payload)));
        }
        self.begin_to_skip(len, stored);
        Ok(Some(Frame::Oversize { header: Bytes::copy_from_slice(&payload), len }))
    }

    /// How many bytes of an incomplete frame, its length included, came so far.
    pub fn pending(&self) -> usize {
        self.buffer.len() + self.handed_over.len() + self.skipped
    }

    /// Whether the stream stands between two frames.
    pub fn is_empty(&self) -> bool {
        self.pending() == 0
    }

    /// Gives memory back if nothing is buffered.
    pub fn shrink(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }

    fn begin_to_skip(&mut self, len: usize, stored: usize) {
        self.skip = len - stored;
        self.skipped = LEN + stored;
        let gone = self.pass(self.buffer.len());
        self.buffer.advance(gone);
    }

    /// Tells how many of the next so many bytes are skipped, and counts them.
    fn pass(&mut self, len: usize) -> usize {
        let gone = len.min(self.skip);
        self.skip -= gone;
        self.skipped = if self.skip == 0 { 0 } else { self.skipped + gone };
        gone
    }
}

/// Shows what is held, not the bytes: they can be a session's password.
impl fmt::Debug for FrameDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameDecoder")
            .field("max_frame_len", &self.max_frame_len)
            .field("pending", &self.pending())
            .field("skip", &self.skip)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

/// The bytes of a frame's length.
const LEN: usize = 4;
/// How much of an oversize frame is shown: a reply's header.
const HEADER: usize = 16;

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn frames(decoder: &mut FrameDecoder) -> Vec<Frame> {
        core::iter::from_fn(|| decoder.next().expect("a sound stream")).collect()
    }

    #[test]
    fn frames_come_out_whole_however_the_stream_is_cut() {
        let stream = b"\0\0\0\x02hi\0\0\0\0\0\0\0\x14abcdefghijklmnopqrst\0\0\0\x01x";
        let whole = |bytes: &'static [u8]| Frame::Whole(Bytes::from_static(bytes));
        let oversize = Frame::Oversize { header: Bytes::from_static(b"abcdefghijklmnop"), len: 20 };
        let expected = vec![whole(b"hi"), whole(b""), oversize, whole(b"x")];
        for piece in 1..=stream.len() {
            let mut decoder = FrameDecoder::new(16);
            let mut came = Vec::new();
            for bytes in stream.chunks(piece) {
                decoder.push(bytes);
                came.extend(frames(&mut decoder));
            }
            assert_eq!(came, expected, "pieces of {piece}");
            assert!(decoder.is_empty());
        }
    }

    #[test]
    fn frames_cut_at_once_are_the_same_and_end_before_one_that_is_too_long() {
        let mut decoder = FrameDecoder::new(16);
        decoder.push(b"\0\0\0\x02hi\0\0\0\0\0\0\0\x14abcdefghijklmnopqrst\0\0\0\x01x\0\0\0\x02y");
        let all = |decoder: &mut FrameDecoder| {
            let mut run = decoder.next_all();
            let payloads = core::iter::from_fn(|| run.as_mut()?.next().map(|reader| reader.rest()));
            payloads.collect::<Vec<_>>()
        };
        assert_eq!(all(&mut decoder), ["hi", ""]);
        assert!(all(&mut decoder).is_empty());
        assert!(matches!(decoder.next(), Ok(Some(Frame::Oversize { len: 20, .. }))));
        assert_eq!(all(&mut decoder), ["x"]);
        assert_eq!((all(&mut decoder).len(), decoder.pending()), (0, 5));
    }

    /// Cuts all that is whole, in the way that costs less, as far as that goes.
    fn cut_all(decoder: &mut FrameDecoder) -> Vec<Frame> {
        let mut came = Vec::new();
        loop {
            if let Some(mut run) = decoder.next_all() {
                came.extend(core::iter::from_fn(|| run.next().map(|reader| Frame::Whole(reader.rest()))));
            } else if let Some(frame) = decoder.next().expect("a sound stream") {
                came.push(frame);
            } else {
                return came;
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_handed_over_is_cut_like_what_is_copied(
            lens in vec(0..24_usize, 0..12),
            pieces in vec((0..40_usize, any::<bool>(), any::<bool>()), 1..24),
        ) {
            let mut stream = Vec::new();
            for (number, len) in lens.into_iter().enumerate() {
                stream.extend_from_slice(&(len as u32).to_be_bytes());
                stream.resize(stream.len() + len, number as u8);
            }
            let (mut copied, mut handed) = (FrameDecoder::new(16), FrameDecoder::new(16));
            let (mut expected, mut came) = (Vec::new(), Vec::new());
            let mut rest = &stream[..];
            for (len, is_handed_over, is_cut) in pieces.into_iter().chain([(usize::MAX, true, true)]) {
                let (piece, behind) = rest.split_at(len.min(rest.len()));
                rest = behind;
                copied.push(piece);
                if is_handed_over {
                    handed.hand_over(Bytes::copy_from_slice(piece));
                } else {
                    handed.push(piece);
                }
                if is_cut {
                    expected.extend(cut_all(&mut copied));
                    came.extend(cut_all(&mut handed));
                    prop_assert_eq!(&came, &expected);
                }
                prop_assert_eq!(handed.pending(), copied.pending());
            }
        }
    }

    #[test]
    fn what_is_handed_over_is_not_copied_and_let_go_of() {
        let mut decoder = FrameDecoder::new(16);
        decoder.push(b"\0\0");
        let bytes = Bytes::copy_from_slice(b"\0\x02hi\0\0\0\x02ho\0\0\0\x01y\0\0\0\x09rest");
        decoder.hand_over(bytes.clone());
        let mut run = decoder.next_all().expect("one that was begun");
        assert_eq!(run.next().map(|reader| reader.rest()), Some(Bytes::from_static(b"hi")));
        let mut run = decoder.next_all().expect("two that weren't");
        let payload = run.next().expect("a frame").rest();
        assert_eq!((&payload[..], payload.as_ptr()), (&b"ho"[..], bytes[8..].as_ptr()));
        assert!(decoder.next_all().is_none() && decoder.pending() == 8);
        drop((run, payload));
        assert!(bytes.is_unique(), "of what is begun there is a copy");

        let mut decoder = FrameDecoder::new(16);
        decoder.push(b"\0\0\x10\0");
        decoder.hand_over(Bytes::from_static(&[0; 16]));
        assert!(matches!(decoder.next(), Ok(Some(Frame::Oversize { len: 0x1000, .. }))));
        decoder.hand_over(bytes.clone());
        assert!(bytes.is_unique() && !decoder.is_empty(), "what is skipped isn't kept");
    }

    #[test]
    fn a_negative_length_is_told_at_once_and_for_good() {
        let mut decoder = FrameDecoder::new(16);
        decoder.push(&[0xFF, 0xFF, 0xFF]);
        assert_eq!(decoder.next(), Ok(None));
        decoder.push(&[0xFE]);
        assert_eq!(decoder.next(), Err(FrameError { len: -2 }));
        decoder.push(b"\0\0\0\0");
        assert_eq!(decoder.next(), Err(FrameError { len: -2 }));
    }

    #[test]
    fn an_oversize_frame_is_told_by_its_header_and_not_stored() {
        let mut decoder = FrameDecoder::new(16);
        decoder.push(b"\x7F\xFF\xFF\xFFabcdefghijklmno");
        assert_eq!(decoder.next(), Ok(None));
        decoder.push(b"p");
        let header = Bytes::from_static(b"abcdefghijklmnop");
        assert_eq!(decoder.next(), Ok(Some(Frame::Oversize { header, len: 0x7FFF_FFFF })));
        decoder.push(&[0; 1000]);
        assert_eq!(decoder.next(), Ok(None));
        assert_eq!((decoder.pending(), decoder.buffer.len()), (1020, 0));
    }

    /// A reply of a header alone, and a payload that is too short for one.
    const STREAM: &[u8] = b"\0\0\0\x10\0\0\0\x07\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\x02hi\0\0\0\0";

    fn cut_at_once(stream: &[u8]) -> Frames {
        let mut decoder = FrameDecoder::new(100);
        decoder.push(stream);
        decoder.next_all().expect("whole frames")
    }

    #[test]
    fn a_reply_can_be_looked_at_before_it_is_read() {
        let header = ReplyHeader { xid: 7, zxid: crate::Zxid(9), err: crate::ErrorCode::OK };
        let mut run = cut_at_once(STREAM);
        assert_eq!((run.peek_reply(), run.peek_reply()), (Some(header), Some(header)));
        assert_eq!(run.next().map(|reader| reader.remaining()), Some(16));
        assert_eq!(run.peek_reply(), None, "two bytes are no header, whatever follows them");
        assert_eq!(run.next().map(|reader| reader.rest()), Some(Bytes::from_static(b"hi")));
        assert_eq!(run.next().map(|reader| reader.rest()), Some(Bytes::new()));
        assert!(run.next().is_none() && run.peek_reply().is_none());
    }

    #[test]
    fn what_follows_a_header_can_be_read_by_the_place_of_its_frame() {
        let mut run = cut_at_once(&[STREAM, b"\0\0\0\x120123456789abcdefhi"].concat());
        run.pass();
        let too_short = run.place();
        run.pass();
        run.pass();
        let place = run.place();
        run.pass();
        assert!(run.next().is_none());
        assert_eq!((run.record(place).rest(), run.record(place).position()), (Bytes::from_static(b"hi"), 16));
        for place in [0, too_short, run.place()] {
            assert_eq!(run.record(place).remaining(), 0);
        }
        assert!(!run.is_empty() && Frames::default().is_empty());
    }

    #[test]
    fn what_is_held_shows_its_length_and_not_its_bytes() {
        let print = |shown: &dyn fmt::Debug| alloc::format!("{shown:?}");
        let mut run = cut_at_once(STREAM);
        assert_eq!(print(&run), "Frames { len: 30, .. }");
        run.pass();
        assert_eq!(print(&run), "Frames { len: 10, .. }");
        let mut decoder = FrameDecoder::new(100);
        decoder.push(b"\0\0\0\x20secret");
        let shown = print(&decoder);
        assert!(shown.contains("max_frame_len: 100") && shown.contains("pending: 10"), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
    }
}
