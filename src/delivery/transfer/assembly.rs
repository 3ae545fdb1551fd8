use super::ranges::RangeSet;
use super::{Answer, BodyError, Chunk, ChunkRefusal, Handle, Missing, Op, Open, Range, Ranges, Status};
use crate::wire::{BufferTooSmall, fill};

/// The receiver of one payload: which chunks belong to it, which are there, which are missing.
///
/// The bytes themselves go where the application puts them:
///
/// * An [`Open`] whose key is known: if it [contradicts](Self::contradicts) what is known, that is the
///   [answer](Status::Contradicts); else [`answer`](Self::answer) says what is missing. An unknown key begins a new
///   assembly, within the device's [`Quota`](super::Quota).
/// * A [`Chunk`]: [`check`](Self::check) it; if it is [`Fresh`](Arrival::Fresh), store its bytes at its
///   [`range`](Chunk::range) and [`record`](Self::record) it; acknowledge it, fresh or not.
/// * Once [`is_whole`](Self::is_whole), compute the checksum over what was stored and [`conclude`](Self::conclude);
///   make the bytes durable before the answer goes out, because "complete" promises that they are.
///
/// To drop it is legal at any time: the sender opens it again and is told that all is missing. So is to forget it in a
/// restart; with a [`snapshot`](Self::snapshot) less has to be sent again.
///
/// `B` is a table of ranges, such as `[Range; 64]`, a slice that is lent, or a `Vec`: one place for each run of chunks
/// that is there. Few are needed, since a sender goes from front to back: as many as chunks under way, and one. A chunk
/// that would need a place too many is refused ([`ChunkRefusal::Quota`]) until others have closed a gap. The last place
/// is kept for the front of the payload, so the first missing chunk is always taken, and a transfer never comes to a
/// stop.
#[derive(Clone, Debug)]
pub struct Assembly<B> {
    open: Open,
    present: RangeSet<B>,
    complete: bool,
}

/// What a chunk is to an [`Assembly`] that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Arrival {
    /// It is missing: store it.
    Fresh,
    /// It is there already: acknowledge it again.
    Again,
}

impl<B: AsRef<[Range]> + AsMut<[Range]>> Assembly<B> {
    /// The receiver of the payload that `open` describes, of which nothing is there. An empty one is complete at once.
    #[must_use]
    pub const fn new(open: &Open, table: B) -> Self {
        // Of no bytes at all the checksum is known.
        let complete = open.total() == 0 && open.crc() == 0;
        Self { open: open.with_op(Op::Open), present: RangeSet::new(table), complete }
    }

    /// Reads a [`snapshot`](Self::snapshot). Ranges for which the table has no room count as missing.
    ///
    /// What a snapshot names has to be as durable as the snapshot itself: sync the payload's bytes first. It does not
    /// say "complete": [`conclude`](Self::conclude) again.
    ///
    /// # Errors
    ///
    /// [`BodyError`] names the first field that is wrong.
    pub fn restore(snapshot: &[u8], table: B) -> Result<Self, BodyError> {
        let (open, bytes) = snapshot.split_at_checked(Open::LEN).unwrap_or((snapshot, &[]));
        let open = Open::decode(open)?;
        if bytes.len() % Ranges::ONE != 0 {
            let expected = snapshot.len().checked_next_multiple_of(Ranges::ONE).unwrap_or_default();
            return Err(BodyError::Length { length: snapshot.len(), expected });
        }
        let mut restored = Self::new(&open, table);
        for range in open.ranges(bytes)?.0 {
            if restored.admits(range) {
                restored.present.insert(range);
            }
        }
        Ok(restored)
    }

    /// What `chunk` is to this payload. Nothing is noted: [`record`](Self::record) it when its bytes are stored.
    ///
    /// # Errors
    ///
    /// [`ChunkRefusal`] is the answer: the chunk has another total, does not begin where one does, is shorter or
    /// longer, or finds no room in the table.
    pub fn check(&self, chunk: &Chunk<'_>) -> Result<Arrival, ChunkRefusal> {
        let range = chunk.range();
        if chunk.total() != self.open.total() || self.open.chunk_at(range.offset()) != Some(range) {
            Err(ChunkRefusal::Contradicts)
        } else if self.present.contains(range) {
            Ok(Arrival::Again)
        } else if self.admits(range) {
            Ok(Arrival::Fresh)
        } else {
            Err(ChunkRefusal::Quota)
        }
    }

    /// The bytes of `chunk` are stored. Returns what it was until now.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check), and only if that would say so now: chunks that were recorded between the two may have
    /// taken the room. Nothing is noted then.
    pub fn record(&mut self, chunk: &Chunk<'_>) -> Result<Arrival, ChunkRefusal> {
        let arrival = self.check(chunk)?;
        self.present.insert(chunk.range());
        Ok(arrival)
    }

    /// The checksum over what is stored is `crc`. [`Status::Complete`] if that is right; make the bytes durable, then
    /// answer. [`Status::WrongCrc`] if not: all of it counts as missing now, and that is the answer to the open which
    /// is due. [`Status::Go`] if chunks are missing: nothing is concluded.
    pub fn conclude(&mut self, crc: u32) -> Status {
        if !self.is_whole() {
            return Status::Go;
        }
        self.complete = crc == self.open.crc();
        if self.complete {
            return Status::Complete;
        }
        self.clear();
        Status::WrongCrc
    }

    /// Forgets all chunks.
    pub fn clear(&mut self) {
        self.present.clear();
        self.complete = false;
    }

    /// Writes the body of the answer to an open under `handle`: "complete", or "go on" with the first ranges that are
    /// missing, as many as fit `out`. Returns its length. A list that is cut short costs a round trip more; a reply
    /// that the sender has no room for is lost: let `out` be no longer than its longest frame leaves room for.
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`] below 24 bytes; `out` is untouched then. With 272 no list is cut short.
    pub fn answer(&self, handle: Handle, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let answer = if self.complete { Answer::complete(handle) } else { Answer::go(handle, self.missing_chunks()) };
        answer.encode(self.missing(), out)
    }

    /// Writes what a later [`restore`](Self::restore) needs, and returns its length: the body of the open, then offset
    /// u32 and length u32 of each range that is there.
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`]; `out` is untouched then.
    pub fn snapshot(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let required = self.snapshot_len();
        let room = out.get_mut(..required).and_then(|out| out.split_at_mut_checked(Open::LEN));
        let Some((open, mut room)) = room else { return Err(BufferTooSmall { required }) };
        fill(open, &self.open.to_bytes())?;
        for range in self.present.as_slice() {
            let Some((place, behind)) = room.split_at_mut_checked(Ranges::ONE) else { break };
            fill(place, range.to_bytes().as_flattened())?;
            room = behind;
        }
        Ok(required)
    }

    /// The length of a [`snapshot`](Self::snapshot) now: 32 and 8 for each run of chunks that is there.
    #[must_use]
    pub fn snapshot_len(&self) -> usize {
        Open::LEN.saturating_add(self.present.as_slice().len().saturating_mul(Ranges::ONE))
    }

    /// What is missing, from front to back: ranges of whole chunks.
    pub fn missing(&self) -> Missing<'_> {
        self.present.gaps(self.open.total())
    }

    /// How many chunks are missing.
    #[must_use]
    pub fn missing_chunks(&self) -> u32 {
        self.missing().fold(0, |chunks, range| chunks.saturating_add(self.open.chunks_in(range.length())))
    }

    /// `true` once all chunks are there: time to compute the checksum and to [`conclude`](Self::conclude).
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.missing().next().is_none()
    }

    /// `true` once the checksum turned out right.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.complete
    }

    /// `true` if `open` has another key, total, chunk length or checksum.
    #[must_use]
    pub fn contradicts(&self, open: &Open) -> bool {
        !self.open.is_same_payload(open)
    }

    /// What is being received.
    #[must_use]
    pub const fn open(&self) -> &Open {
        &self.open
    }

    /// `true` if the table has room for `range`: the last place is for the front of the payload.
    fn admits(&self, range: Range) -> bool {
        let front = self.present.as_slice().first().unwrap_or(&range).offset().min(range.offset());
        let kept = usize::from(front > 0);
        self.present.touches(range) || self.present.room() > kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::transfer::Key;
    use std::vec::Vec;

    const PAYLOAD: [u8; 2_000] = [0x5A; 2_000];

    /// 8 chunks of 256 bytes, the last of 208.
    fn open() -> Open {
        Open::new(Key([7; 16]), 2_000, 0xC0DE).with_chunk(256).unwrap()
    }

    fn chunk(n: u32) -> Chunk<'static> {
        let range = open().chunk_at(256_u32.saturating_mul(n)).unwrap();
        Chunk::new(Handle::FIRST, range.offset(), 2_000, range.of(&PAYLOAD).unwrap()).unwrap()
    }

    #[track_caller]
    fn refused(offset: u32, total: u32, length: usize) {
        let assembly = Assembly::new(&open(), [Range::EMPTY; 4]);
        let odd = Chunk::new(Handle::FIRST, offset, total, &PAYLOAD[..length]).unwrap();
        assert_eq!(assembly.check(&odd), Err(ChunkRefusal::Contradicts));
    }

    #[test]
    fn a_chunk_is_what_the_open_said_to_the_byte() {
        refused(1, 2_000, 256);
        refused(0, 2_000, 255);
        refused(0, 2_000, 257);
        refused(1_792, 2_000, 207);
        refused(0, 2_001, 256);
        refused(2_048, 3_000, 256);
    }

    #[test]
    fn a_full_table_refuses_what_needs_a_place_but_never_the_first_that_is_missing() {
        let mut assembly = Assembly::new(&open(), [Range::EMPTY; 3]);
        for n in [2, 6] {
            assert_eq!(assembly.record(&chunk(n)), Ok(Arrival::Fresh));
        }
        assert_eq!(assembly.check(&chunk(4)), Err(ChunkRefusal::Quota));
        assert_eq!(assembly.record(&chunk(0)), Ok(Arrival::Fresh));
        assert_eq!(assembly.record(&chunk(4)), Err(ChunkRefusal::Quota));
        while let Some(gap) = assembly.missing().next() {
            assert_eq!(assembly.record(&chunk(gap.offset() / 256)), Ok(Arrival::Fresh));
            assert_eq!(assembly.check(&chunk(6)), Ok(Arrival::Again));
        }
        assert_eq!((assembly.missing_chunks(), assembly.snapshot_len()), (0, 40));
    }

    #[test]
    fn one_place_is_enough_for_chunks_in_order() {
        let mut assembly = Assembly::new(&open(), [Range::EMPTY; 1]);
        assert_eq!(assembly.check(&chunk(1)), Err(ChunkRefusal::Quota));
        for n in 0..8 {
            assert!(!assembly.is_whole());
            assert_eq!(assembly.record(&chunk(n)), Ok(Arrival::Fresh));
        }
        assert!(assembly.is_whole());
        let mut none = Assembly::new(&open(), []);
        assert_eq!(none.record(&chunk(0)), Err(ChunkRefusal::Quota));
    }

    #[test]
    fn a_snapshot_restores_what_fits_the_table_and_leaves_room_for_the_front() {
        let mut assembly = Assembly::new(&open(), [Range::EMPTY; 4]);
        for n in [1, 3, 5] {
            assembly.record(&chunk(n)).unwrap();
        }
        let mut bytes = [0; 56];
        assert_eq!(assembly.snapshot(&mut bytes[..55]), Err(BufferTooSmall { required: 56 }));
        assert_eq!(assembly.snapshot(&mut bytes), Ok(56));
        let smaller = Assembly::restore(&bytes, [Range::EMPTY; 3]).unwrap();
        assert_eq!((smaller.missing_chunks(), smaller.check(&chunk(0))), (6, Ok(Arrival::Fresh)));
        let same = Assembly::restore(&bytes, [Range::EMPTY; 4]).unwrap();
        assert!(same.missing().eq(assembly.missing()) && same.open() == assembly.open());
        assert_eq!(
            Assembly::restore(&bytes[..52], [Range::EMPTY; 3]).map(drop),
            Err(BodyError::Length { length: 52, expected: 56 })
        );
        bytes[35] = 1;
        assert!(Assembly::restore(&bytes, [Range::EMPTY; 3]).is_err());
    }

    #[test]
    fn it_is_complete_when_all_is_there_and_the_checksum_is_right() {
        let mut assembly = Assembly::new(&open(), std::vec![Range::EMPTY; 8]);
        assert_eq!(assembly.conclude(0xC0DE), Status::Go);
        let all: Vec<_> = (0..8).map(chunk).collect();
        for wrong in [true, false] {
            assert!(all.iter().all(|chunk| assembly.record(chunk) == Ok(Arrival::Fresh)));
            let expected = if wrong { (Status::WrongCrc, 8, false) } else { (Status::Complete, 0, true) };
            let said = assembly.conclude(if wrong { 0xBAD } else { 0xC0DE });
            assert_eq!((said, assembly.missing_chunks(), assembly.is_complete()), expected);
        }
        assert_eq!(assembly.check(&all[3]), Ok(Arrival::Again));
    }

    #[test]
    fn an_empty_payload_is_complete_at_once_unless_its_checksum_cannot_be_right() {
        let empty = |crc| Assembly::new(&Open::new(Key([7; 16]), 0, crc), []);
        assert!(empty(0).is_complete() && empty(0).is_whole());
        assert!(!empty(1).is_complete());
        assert_eq!(empty(1).conclude(0), Status::WrongCrc);
    }
}
