//! Rules of `wire` that hold for all inputs, splits and orders of calls.
//!
//! What must come out is found by a decoder of this file's own ([`reference`]), written straight from the layout, which
//! has all the bytes at once and no state.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::unwrap_used
)]

use longlink::wire::{
    Batch, BufferTooSmall, Decoded, Decoder, Dialect, EncodeError, Frame, FrameError, FrameMut, Layout, decode, encode,
    encode_header, encode_with_extension,
};
use proptest::{collection::vec, prelude::*, sample::select};

// ---- what must come out ---------------------------------------------------------------------------------------------

/// What a stream holds.
#[derive(Clone, Debug, PartialEq)]
enum Item {
    Frame(Fields),
    Error(FrameError),
}

#[derive(Clone, Debug, PartialEq)]
struct Fields {
    version: u32,
    command: u32,
    sequence: u32,
    extension: Vec<u8>,
    body: Vec<u8>,
}

/// Where a stream stands behind its last item.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// Inside a frame of which so many bytes are there and at least so many missing; between two frames with 0 there.
    Inside { there: usize, missing: usize },
    /// Inside a frame that is skipped, so many bytes before its end.
    Skipping { missing: usize },
    /// Behind an error that is final.
    Broken,
}

/// Decodes `bytes` in 64 bits, field by field. Every item comes with its offset.
fn reference(dialect: &Dialect, limit: u32, bytes: &[u8]) -> (Vec<(usize, Item)>, End) {
    let (mut items, mut offset) = (Vec::new(), 0);
    let (fixed, room) = (dialect.header_len(), limit as usize);
    loop {
        let rest = &bytes[offset..];
        let field = |at: usize, width: usize| {
            let bytes = rest.get(at..at + width)?;
            Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
        };
        let (header, version, length) = match fixed {
            16 => (field(4, 2), field(6, 2), field(0, 4)),
            _ => (field(0, 4), field(4, 4), field(0, 4).zip(field(16, 4)).map(|(header, body)| header + body)),
        };
        if let Some(error) = first_wrong(dialect, header, version, length) {
            items.push((offset, Item::Error(error)));
            return (items, End::Broken);
        }
        let (Some(header), Some(version), Some(length), true) = (header, version, length, rest.len() >= fixed) else {
            return (items, End::Inside { there: rest.len(), missing: fixed - rest.len() });
        };
        let (header, length, version) = (header as usize, length as usize, version as u32);
        let (command, sequence) = (field(8, 4).unwrap() as u32, field(12, 4).unwrap() as u32);
        if length > room {
            items.push((offset, Item::Error(FrameError::TooLong { length: length as u32, limit, command, sequence })));
            if length > 16 * room {
                return (items, End::Broken);
            }
        } else if length <= rest.len() {
            let (extension, body) = (rest[fixed..header].to_vec(), rest[header..length].to_vec());
            items.push((offset, Item::Frame(Fields { version, command, sequence, extension, body })));
        }
        match length.saturating_sub(rest.len()) {
            0 => offset += length,
            missing if length > room => return (items, End::Skipping { missing }),
            missing => return (items, End::Inside { there: rest.len(), missing }),
        }
    }
}

/// The first of the fields that are there which no frame may have: header length, total length, version, their sum.
fn first_wrong(d: &Dialect, header: Option<u64>, version: Option<u64>, length: Option<u64>) -> Option<FrameError> {
    let header32 = header? as u32;
    if header? < d.header_len() as u64 {
        return Some(FrameError::HeaderTooShort { header: header32, minimum: d.header_len() as u32 });
    }
    if header? > u64::from(d.max_header) {
        return Some(FrameError::HeaderTooLong { header: header32, maximum: d.max_header });
    }
    if length.is_some_and(|length| length < header.unwrap()) {
        return Some(FrameError::LengthBelowHeader { length: length? as u32, header: header32 });
    }
    let (lowest, highest) = (d.lowest_version, d.highest_version);
    if !(u64::from(lowest)..=u64::from(highest)).contains(&version?) {
        return Some(FrameError::UnknownVersion { version: version? as u32, lowest, highest });
    }
    (length? > u64::from(u32::MAX))
        .then(|| FrameError::LengthOverflow { header: header32, body: (length.unwrap() - header.unwrap()) as u32 })
}

// ---- streams --------------------------------------------------------------------------------------------------------

const SMALL: Dialect = Dialect { name: "small", max_header: 40, max_frame: 100, ..Dialect::LONGLINK };
const SMALL_MARS: Dialect = Dialect { name: "small mars", max_header: 40, max_frame: 100, ..Dialect::MARS };

fn dialects() -> impl Strategy<Value = &'static Dialect> {
    select(vec![&Dialect::LONGLINK, &Dialect::MARS, &Dialect::GOIM, &Dialect::BILIBILI, &SMALL, &SMALL_MARS])
}

/// The bytes of a frame, straight from the layout. The dialect's limits do not count here.
fn write(dialect: &Dialect, frame: &Fields) -> Vec<u8> {
    let Fields { version, command, sequence, extension, body } = frame;
    let header = dialect.header_len() + extension.len();
    let number = |number: usize| u32::try_from(number).unwrap().to_be_bytes();
    let narrow = |number: u32| u16::try_from(number).unwrap().to_be_bytes();
    let (command, sequence) = (command.to_be_bytes(), sequence.to_be_bytes());
    match dialect.layout {
        Layout::Wire16 => {
            let (header, total) = (narrow(header as u32), number(header + body.len()));
            [&total[..], &header, &narrow(*version), &command, &sequence, extension, body].concat()
        }
        Layout::Wire20 => {
            let (header, length) = (number(header), number(body.len()));
            [&header[..], &version.to_be_bytes(), &command, &sequence, &length, extension, body].concat()
        }
    }
}

prop_compose! {
    /// A frame of a version that `dialect` speaks. Bodies reach well above the smaller buffers.
    fn frames(dialect: &'static Dialect)(
        version in dialect.lowest_version..=dialect.highest_version,
        command: u32,
        sequence: u32,
        extension in prop_oneof![3 => Just(Vec::new()), 1 => vec(any::<u8>(), 0..=20)],
        body in prop_oneof![1 => Just(Vec::new()), 3 => vec(any::<u8>(), 0..=150)],
    ) -> Fields {
        Fields { version, command, sequence, extension, body }
    }
}

/// Frames, among them over-long ones where the buffer is small; and, rarely enough to let most streams live, frames with
/// one byte of the header changed.
fn pieces(dialect: &'static Dialect) -> impl Strategy<Value = Vec<u8>> {
    let good = frames(dialect).prop_map(|frame| write(dialect, &frame));
    let bent = (frames(dialect), 0..dialect.header_len(), any::<u8>()).prop_map(|(frame, at, byte)| {
        let mut bytes = write(dialect, &frame);
        bytes[at] = byte;
        bytes
    });
    prop_oneof![12 => good, 1 => bent]
}

/// A stream of a dialect: some pieces, then nothing, the start of another or any bytes.
fn streams(dialect: &'static Dialect) -> impl Strategy<Value = Vec<u8>> {
    let cut = (pieces(dialect), any::<prop::sample::Index>()).prop_map(|(mut piece, end)| {
        piece.truncate(end.index(piece.len()));
        piece
    });
    let tail = prop_oneof![Just(Vec::new()), cut, vec(any::<u8>(), 0..40)];
    (vec(pieces(dialect), 0..8), tail).prop_map(|(pieces, tail)| [pieces.concat(), tail].concat())
}

fn dialects_and_streams() -> impl Strategy<Value = (&'static Dialect, Vec<u8>)> {
    dialects().prop_flat_map(|dialect| (Just(dialect), streams(dialect)))
}

/// Buffer lengths from the shortest that every layout takes to one in which most frames fit.
fn rooms() -> impl Strategy<Value = usize> {
    20..200_usize
}

// ---- what comes out -------------------------------------------------------------------------------------------------

impl From<Frame<'_>> for Fields {
    fn from(frame: Frame<'_>) -> Self {
        let fixed = frame.header().header_len() - frame.extension().len();
        assert_eq!(frame.length(), fixed + frame.extension().len() + frame.body().len());
        assert_eq!(frame.header().length(), frame.length());
        Self {
            version: frame.version(),
            command: frame.command(),
            sequence: frame.sequence(),
            extension: frame.extension().to_vec(),
            body: frame.body().to_vec(),
        }
    }
}

/// A frame as it came, after its body was changed in place and cut to `cut` bytes.
fn open(mut frame: FrameMut<'_>, cut: usize) -> Fields {
    let (header, extension, body) = (frame.header(), frame.extension().to_vec(), frame.body_mut().to_vec());
    frame.body_mut().iter_mut().for_each(|byte| *byte = !*byte);
    let frozen = frame.freeze(cut);
    let opened: Vec<_> = body.iter().take(cut).map(|byte| !byte).collect();
    assert_eq!(frozen.length(), header.header_len() + opened.len());
    let Fields { version, command, sequence, .. } = Fields::from(frozen);
    assert_eq!((version, command, sequence), (header.version(), header.command(), header.sequence()));
    assert_eq!((frozen.extension(), frozen.body()), (&extension[..], &opened[..]));
    Fields { version, command, sequence, extension, body }
}

/// Gives the decoder as much of `bytes` as fits, in one or two commits, and returns how much that was.
fn feed(decoder: &mut Decoder<Vec<u8>>, bytes: &[u8], first: usize) -> usize {
    let space = decoder.space();
    let n = bytes.len().min(space.len());
    space[..n].copy_from_slice(&bytes[..n]);
    decoder.commit(first.min(n));
    decoder.commit(n - first.min(n));
    n
}

/// All that can be taken now; nothing behind an error that is final.
fn take_all(decoder: &mut Decoder<Vec<u8>>) -> Vec<Item> {
    let mut items = Vec::new();
    loop {
        match decoder.next_frame() {
            Ok(Some(frame)) => items.push(Item::Frame(frame.into())),
            Ok(None) => return items,
            Err(error) => items.push(Item::Error(error)),
        }
        assert!(items.len() < 10_000, "there is no end of {:?}", items.last());
        if is_broken(&items) {
            return items;
        }
    }
}

fn is_broken(items: &[Item]) -> bool {
    matches!(items.last(), Some(Item::Error(error)) if error.is_fatal())
}

/// All items of `stream`, fed in pieces as long as `chunks` say, over and over.
fn feed_all(decoder: &mut Decoder<Vec<u8>>, mut stream: &[u8], chunks: &[usize]) -> Vec<Item> {
    let mut items = Vec::new();
    let mut chunks = chunks.iter().cycle();
    while !stream.is_empty() && !is_broken(&items) {
        let n = feed(decoder, &stream[..stream.len().min(*chunks.next().unwrap())], usize::MAX);
        assert!(n > 0, "space is empty and nothing waits");
        stream = &stream[n..];
        items.extend(take_all(decoder));
    }
    items
}

/// All items of a new decoder, and where it stands then.
fn run(dialect: &'static Dialect, room: usize, stream: &[u8], chunks: &[usize]) -> (Vec<Item>, End) {
    let mut decoder = Decoder::new(dialect, vec![0; room]).unwrap();
    let items = feed_all(&mut decoder, stream, chunks);
    let end = match decoder.skipping() {
        _ if is_broken(&items) => End::Broken,
        0 => End::Inside { there: decoder.buffered(), missing: decoder.need() },
        missing => End::Skipping { missing: missing as usize },
    };
    (items, end)
}

fn items_of(dialect: &Dialect, limit: usize, stream: &[u8]) -> (Vec<Item>, End) {
    let (items, end) = reference(dialect, limit as u32, stream);
    (items.into_iter().map(|(_, item)| item).collect(), end)
}

// ---- decoding -------------------------------------------------------------------------------------------------------

proptest! {
    #[test]
    fn any_split_of_a_stream_gives_the_same_frames_and_errors(
        (dialect, stream) in dialects_and_streams(),
        room in rooms(),
        chunks in vec(prop_oneof![Just(1_usize), 1..40_usize, Just(usize::MAX)], 1..6),
    ) {
        let limit = room.min(dialect.max_frame as usize);
        prop_assert_eq!(run(dialect, room, &stream, &chunks), items_of(dialect, limit, &stream));
    }

    #[test]
    fn decode_tells_of_the_first_frame_what_the_layout_says(
        (dialect, stream) in dialects_and_streams(),
        limit in 20..200_u32,
    ) {
        let dialect = Dialect { max_frame: limit, ..*dialect };
        let (items, end) = items_of(&dialect, limit as usize, &stream);
        match (decode(&dialect, &stream), items.first(), end) {
            (Ok(Decoded::Frame(frame)), Some(Item::Frame(fields)), _) => prop_assert_eq!(&Fields::from(frame), fields),
            (Err(found), Some(Item::Error(error)), _) => prop_assert_eq!(&found, error),
            (Ok(Decoded::Incomplete { need }), None, End::Inside { missing, .. }) => prop_assert_eq!(need, missing),
            (found, ..) => prop_assert!(false, "{found:?} of {items:?} {end:?}"),
        }
    }

    #[test]
    fn a_batch_gives_what_a_decoder_gives_up_to_the_first_error((dialect, body) in dialects_and_streams()) {
        let (items, end) = run(dialect, dialect.max_frame as usize, &body, &[usize::MAX]);
        let mut expected = Vec::new();
        for item in items {
            let last = matches!(item, Item::Error(_));
            expected.push(item);
            if last {
                break;
            }
        }
        if let (End::Inside { there: 1.., missing }, Some(Item::Frame(_)) | None) = (end, expected.last()) {
            expected.push(Item::Error(FrameError::Truncated { missing: missing as u32 }));
        }
        let mut batch = Batch::new(dialect, &body);
        let mut walked = Vec::new();
        for frame in batch.by_ref() {
            walked.push(match frame {
                Ok(frame) => {
                    prop_assert!(frame.is_nested());
                    Item::Frame(frame.into())
                }
                Err(error) => Item::Error(error),
            });
        }
        prop_assert_eq!(walked, expected);
        prop_assert!(batch.rest().is_empty() && batch.next().is_none());
    }

    #[test]
    fn fewer_bytes_than_needed_never_make_a_frame(
        (dialect, stream) in dialects_and_streams(),
        room in rooms(),
        cut: prop::sample::Index,
        noise in vec(any::<u8>(), 0..40),
    ) {
        let (begun, rest) = stream.split_at(cut.index(stream.len() + 1));
        let (_, end) = items_of(dialect, room.min(dialect.max_frame as usize), begun);
        prop_assume!(end != End::Broken);
        let mut decoder = Decoder::new(dialect, vec![0; room]).unwrap();
        feed_all(&mut decoder, begun, &[usize::MAX]);
        let need = decoder.need();
        prop_assert!(need > 0, "nothing waits");
        // The stream's own bytes are the most likely to make a frame too early.
        let more: Vec<_> = rest.iter().chain(&noise).copied().chain(std::iter::repeat(0)).take(need - 1).collect();
        let items = feed_all(&mut decoder, &more, &[usize::MAX]);
        prop_assert!(items.iter().all(|item| matches!(item, Item::Error(_))), "{items:?}");
    }
}

// ---- any order of calls ---------------------------------------------------------------------------------------------

#[derive(Clone, Copy, Debug)]
enum Call {
    /// `space`, and so many of the stream's bytes committed in two parts.
    Feed {
        bytes: usize,
        first: usize,
    },
    NextFrame,
    /// `next_frame_mut`, and `freeze` to so many bytes.
    NextFrameMut {
        cut: usize,
    },
    Reclaim,
    Lend,
    Reset,
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![
        8 => (0..60_usize, 0..60_usize).prop_map(|(bytes, first)| Call::Feed { bytes, first }),
        2 => Just(Call::Feed { bytes: usize::MAX, first: usize::MAX }),
        8 => Just(Call::NextFrame),
        4 => (0..80_usize).prop_map(|cut| Call::NextFrameMut { cut }),
        3 => Just(Call::Reclaim),
        3 => Just(Call::Lend),
        1 => Just(Call::Reset),
    ];
    vec(call, 0..80)
}

/// A decoder beside all the bytes that it was given since the last reset, and what must come of them.
struct Checked {
    decoder: Decoder<Vec<u8>>,
    stream: Vec<u8>,
    items: Vec<(usize, Item)>,
    end: End,
    /// How many items were taken; an error that is final is never done with.
    taken: usize,
    /// The buffer, while it was taken back.
    pool: Option<Vec<u8>>,
    room: usize,
    limit: u32,
}

impl Checked {
    fn new(dialect: &'static Dialect, room: usize) -> Self {
        let decoder = Decoder::new(dialect, vec![0xEE; room]).unwrap();
        let (limit, missing) = (decoder.limit(), dialect.header_len());
        assert_eq!(limit, dialect.max_frame.min(room as u32));
        let end = End::Inside { there: 0, missing };
        Self { decoder, stream: Vec::new(), items: Vec::new(), end, taken: 0, pool: None, room, limit }
    }

    fn call(&mut self, call: Call, stream: &[u8]) {
        match call {
            Call::Feed { bytes, first } => self.feed(&stream[self.stream.len()..], bytes, first),
            Call::NextFrame => {
                let found = self.decoder.next_frame().map(|frame| frame.map(Fields::from));
                self.check_next(found);
            }
            Call::NextFrameMut { cut } => {
                let found = self.decoder.next_frame_mut().map(|frame| frame.map(|frame| open(frame, cut)));
                self.check_next(found);
            }
            Call::Reclaim => {
                let held = self.decoder.buffered();
                let buffer = self.decoder.reclaim();
                assert_eq!(buffer.is_some(), held == 0 && self.pool.is_none());
                self.pool = self.pool.take().or(buffer);
            }
            Call::Lend => match self.pool.take() {
                Some(buffer) => assert_eq!(self.decoder.lend(buffer), Ok(())),
                None => assert_eq!(self.decoder.lend(vec![0; 64]), Err(vec![0; 64]), "there is one already"),
            },
            Call::Reset => {
                self.decoder.reset();
                self.stream.clear();
                self.taken = 0;
                self.judge();
            }
        }
        self.check_questions();
    }

    fn feed(&mut self, rest: &[u8], bytes: usize, first: usize) {
        let space = self.decoder.space().len();
        assert_eq!(space == 0, self.pool.is_some() || self.is_full(), "space is empty only while something waits");
        let n = feed(&mut self.decoder, &rest[..rest.len().min(bytes)], first);
        self.stream.extend_from_slice(&rest[..n]);
        self.judge();
    }

    fn judge(&mut self) {
        (self.items, self.end) = reference(self.decoder.dialect(), self.limit, &self.stream);
    }

    /// Something waits, and the buffer is full of it and of what came behind it.
    fn is_full(&self) -> bool {
        self.waiting().is_some_and(|(offset, _)| self.stream.len() - offset == self.room)
    }

    fn waiting(&self) -> Option<&(usize, Item)> {
        self.items.get(self.taken)
    }

    fn check_next(&mut self, found: Result<Option<Fields>, FrameError>) {
        let found = match found {
            Ok(frame) => frame.map(Item::Frame),
            Err(error) => Some(Item::Error(error)),
        };
        assert_eq!(found.as_ref(), self.waiting().map(|(_, item)| item));
        match found {
            None => {}
            Some(Item::Error(error)) if error.is_fatal() => {}
            Some(_) => self.taken += 1,
        }
    }

    /// The questions, each of which has one right answer at any time.
    fn check_questions(&self) {
        let fixed = self.decoder.dialect().header_len();
        let (buffered, need, skipping) = (self.decoder.buffered(), self.decoder.need(), self.decoder.skipping());
        let expected = match (self.waiting(), self.end) {
            (Some((offset, _)), _) => (self.stream.len() - offset, 0, 0),
            (None, End::Inside { there, missing }) => (there, missing, 0),
            (None, End::Skipping { missing }) => (0, missing + fixed, missing as u32),
            (None, End::Broken) => unreachable!("a final error waits for ever"),
        };
        assert_eq!((buffered, need, skipping), expected);
        assert_eq!(self.decoder.is_empty(), buffered == 0 && skipping == 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_order_of_calls_gives_every_frame_and_error_once_and_true_answers(
        (dialect, stream) in dialects_and_streams(),
        room in rooms(),
        calls in calls(),
    ) {
        let mut checked = Checked::new(dialect, room);
        for call in calls {
            checked.call(call, &stream);
        }
    }
}

// ---- encoding -------------------------------------------------------------------------------------------------------

proptest! {
    #[test]
    fn what_was_encoded_is_decoded_to_the_same(
        (dialect, frame) in dialects().prop_flat_map(|dialect| (Just(dialect), frames(dialect))),
        behind in vec(any::<u8>(), 0..20),
    ) {
        let dialect = Dialect { max_header: 256, max_frame: 65_792, ..*dialect };
        let Fields { command, sequence, extension, body, .. } = &frame;
        let mut out = vec![0xEE; 400];
        let length = encode_with_extension(&dialect, *command, *sequence, extension, body, &mut out).unwrap();
        prop_assert!(out[length..].iter().all(|byte| *byte == 0xEE), "behind the frame nothing is touched");
        out.truncate(length);
        let expected = Fields { version: dialect.version, ..frame.clone() };
        prop_assert_eq!(&out, &write(&dialect, &expected));
        if extension.is_empty() {
            let mut plain = vec![0; length];
            prop_assert_eq!(encode(&dialect, *command, *sequence, body, &mut plain), Ok(length));
            prop_assert_eq!(&plain, &out);
        }
        out.extend_from_slice(&behind);
        match decode(&dialect, &out) {
            Ok(Decoded::Frame(decoded)) => {
                prop_assert_eq!(decoded.length(), length);
                prop_assert_eq!(Fields::from(decoded), expected);
            }
            other => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn a_header_and_its_body_are_the_frame(
        dialect in dialects(),
        command: u32,
        sequence: u32,
        body in vec(any::<u8>(), 0..80),
    ) {
        let mut frame = vec![0xEE; 100];
        let length = encode(dialect, command, sequence, &body, &mut frame).unwrap();
        let mut header = vec![0xEE; 100];
        let header_len = encode_header(dialect, command, sequence, body.len(), &mut header).unwrap();
        prop_assert!(header[header_len..].iter().all(|byte| *byte == 0xEE));
        header.truncate(header_len);
        header.extend_from_slice(&body);
        prop_assert_eq!(&header, &frame[..length]);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_length_and_nothing_written(
        dialect in dialects(),
        max_header in 20..60_u32,
        max_frame in 20..140_u32,
        extension in vec(any::<u8>(), 0..50),
        body in vec(any::<u8>(), 0..100),
        room in 0..160_usize,
    ) {
        let dialect = Dialect { max_header, max_frame, ..*dialect };
        let header = dialect.header_len() + extension.len();
        let length = header + body.len();
        let expected = if header > max_header as usize {
            Err(EncodeError::HeaderTooLong { header, maximum: max_header })
        } else if length > max_frame as usize {
            Err(EncodeError::FrameTooLong { length, limit: max_frame })
        } else if length > room {
            Err(BufferTooSmall { required: length }.into())
        } else {
            Ok(length)
        };
        let mut out = vec![0xEE; room];
        prop_assert_eq!(encode_with_extension(&dialect, 1, 2, &extension, &body, &mut out), expected);
        prop_assert!(expected.is_ok() || out.iter().all(|byte| *byte == 0xEE));

        let mut out = vec![0xEE; room];
        let header_alone = encode_header(&dialect, 1, 2, body.len(), &mut out);
        let (header, length) = (dialect.header_len(), dialect.header_len() + body.len());
        let expected = if length > max_frame as usize {
            Err(EncodeError::FrameTooLong { length, limit: max_frame })
        } else if header > room {
            Err(BufferTooSmall { required: header }.into())
        } else {
            Ok(header)
        };
        prop_assert_eq!(header_alone, expected);
        prop_assert!(expected.is_ok() || out.iter().all(|byte| *byte == 0xEE));
    }
}

// ---- anything at all ------------------------------------------------------------------------------------------------

/// Numbers near the ends of their range, where sums wrap.
fn edges() -> impl Strategy<Value = u32> {
    prop_oneof![0..40_u32, (u32::MAX - 40)..=u32::MAX, 65_500..65_600_u32, any::<u32>()]
}

prop_compose! {
    /// Any numbers, whether they make sense together or not.
    fn wild_dialects()(
        layout in select(vec![Layout::Wire16, Layout::Wire20]),
        (version, lowest_version, highest_version) in (edges(), 0..2_u32, edges()),
        (max_header, max_frame) in (edges(), edges()),
    ) -> Dialect {
        Dialect { layout, version, lowest_version, highest_version, max_header, max_frame, ..Dialect::LONGLINK }
    }
}

/// Bytes of which every word is near an end of its range.
fn wild_bytes() -> impl Strategy<Value = Vec<u8>> {
    let words = vec(edges(), 0..30).prop_map(|words| words.into_iter().flat_map(u32::to_be_bytes).collect());
    prop_oneof![words, vec(any::<u8>(), 0..120)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_numbers_and_no_bytes_panic(
        dialect in wild_dialects(),
        bytes in wild_bytes(),
        length in prop_oneof![0..100_usize, any::<usize>(), usize::MAX - 40..=usize::MAX],
        room in 0..80_usize,
    ) {
        if let Ok(Decoded::Frame(frame)) = decode(&dialect, &bytes) {
            prop_assert!(frame.length() <= bytes.len());
        }
        let walked: usize = Batch::new(&dialect, &bytes).flatten().map(|frame| frame.length()).sum();
        prop_assert!(walked <= bytes.len());
        let mut out = vec![0; room];
        let (extension, body) = bytes.split_at(bytes.len() / 2);
        if let Ok(length) = encode_with_extension(&dialect, length as u32, 1, extension, body, &mut out) {
            prop_assert!(length <= room);
        }
        if let Ok(length) = encode_header(&dialect, 1, 1, length, &mut out) {
            prop_assert!(length <= room);
        }
    }

    #[test]
    fn no_order_of_calls_panics_whatever_the_dialect_and_the_buffers(
        dialect in wild_dialects(),
        rooms in vec(0..80_usize, 1..4),
        steps in vec((wild_bytes(), any::<usize>(), 0..8_u8), 0..40),
    ) {
        let mut decoder = Decoder::without_buffer(Box::leak(Box::new(dialect)));
        let mut rooms = rooms.iter().cycle();
        for (bytes, n, call) in steps {
            match call {
                0 => decoder.commit(n),
                1 => drop(decoder.next_frame_mut().map(|frame| frame.map(|frame| frame.freeze(n)))),
                2 => drop(decoder.reclaim()),
                3 => drop(decoder.lend(vec![0xEE; *rooms.next().unwrap()])),
                4 if n % 4 == 0 => decoder.reset(),
                _ => drop((feed(&mut decoder, &bytes, n % 100), decoder.next_frame())),
            }
            let questions = (decoder.need(), decoder.buffered(), decoder.skipping(), decoder.limit(), decoder.is_empty());
            let text = format!("{decoder:?} {questions:?}");
            prop_assert!(text.starts_with("Decoder"));
        }
    }
}
