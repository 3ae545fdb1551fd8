use super::*;
use crate::wire::encode;

fn feed<B: AsRef<[u8]> + AsMut<[u8]>>(decoder: &mut Decoder<B>, bytes: &[u8]) {
    let space = decoder.space();
    assert!(space.len() >= bytes.len(), "{} bytes of space for {}", space.len(), bytes.len());
    space[..bytes.len()].copy_from_slice(bytes);
    decoder.commit(bytes.len());
}

fn message(body: &[u8]) -> ([u8; 64], usize) {
    let mut out = [0; 64];
    let length = encode(&Dialect::LONGLINK, 237, 1, body, &mut out).unwrap();
    (out, length)
}

#[test]
fn an_over_long_frame_is_skipped_exactly_and_reported_once() {
    let mut buffer = [0; 32];
    let mut decoder = Decoder::new(&Dialect::LONGLINK, &mut buffer[..]).unwrap();
    let (long, length) = message(&[7; 17]); // 33 bytes, one above the limit
    feed(&mut decoder, &long[..20]);
    let too_long = FrameError::TooLong { length: 33, limit: 32, command: 237, sequence: 1 };
    assert_eq!(decoder.next_frame(), Err(too_long));
    assert_eq!((decoder.skipping(), decoder.need()), (13, 29));
    assert!(!decoder.is_empty());
    assert_eq!(decoder.next_frame(), Ok(None));
    feed(&mut decoder, &long[20..length]);
    assert!(decoder.is_empty());
    let (short, length) = message(&[8; 16]);
    feed(&mut decoder, &short[..length]);
    assert_eq!(decoder.next_frame().unwrap().unwrap().body(), [8; 16]);
    assert_eq!(decoder.next_frame(), Ok(None));
}

#[test]
fn a_frame_of_exactly_the_limit_is_taken() {
    let mut buffer = [0; 32];
    let mut decoder = Decoder::new(&Dialect::LONGLINK, &mut buffer[..]).unwrap();
    let (frame, length) = message(&[9; 16]);
    feed(&mut decoder, &frame[..31]);
    assert_eq!(decoder.next_frame(), Ok(None));
    assert_eq!(decoder.need(), 1);
    feed(&mut decoder, &frame[31..length]);
    assert!(decoder.space().is_empty(), "a whole frame waits");
    assert_eq!(decoder.next_frame().unwrap().unwrap().body(), [9; 16]);
    assert_eq!(decoder.space().len(), 32);
}

#[test]
fn sixteen_times_the_limit_is_skipped_and_one_byte_more_is_fatal() {
    let mut buffer = [0; 32];
    for (length, fatal) in [(512_u32, false), (513, true), (u32::MAX, true)] {
        let mut decoder = Decoder::new(&Dialect::LONGLINK, &mut buffer[..]).unwrap();
        let (mut frame, _) = message(b"");
        frame[..4].copy_from_slice(&length.to_be_bytes());
        feed(&mut decoder, &frame[..16]);
        let error = decoder.next_frame().unwrap_err();
        assert_eq!(error.is_fatal(), fatal, "{length}");
        assert_eq!(decoder.next_frame().is_err(), fatal, "{length}");
    }
}

#[test]
fn a_fatal_error_is_repeated_until_reset_whatever_comes() {
    let mut buffer = [0; 32];
    let mut decoder = Decoder::new(&Dialect::LONGLINK, &mut buffer[..]).unwrap();
    feed(&mut decoder, b"\nhello");
    let error = decoder.next_frame().unwrap_err();
    for _ in 0..2 {
        feed(&mut decoder, &[0; 13]);
        assert_eq!(decoder.next_frame(), Err(error));
    }
    assert!(decoder.space().is_empty());
    assert_eq!((decoder.need(), decoder.is_empty()), (0, false));
    decoder.reset();
    let (frame, length) = message(b"again");
    feed(&mut decoder, &frame[..length]);
    assert_eq!(decoder.next_frame().unwrap().unwrap().body(), b"again");
}

#[test]
fn a_pooled_buffer_goes_back_only_while_it_is_empty() {
    let mut decoder = Decoder::without_buffer(&Dialect::LONGLINK);
    assert!(decoder.space().is_empty());
    assert_eq!(decoder.next_frame(), Ok(None));
    assert_eq!(decoder.lend([0_u8; 15]), Err([0; 15]), "too small for a header");

    let mut decoder = Decoder::without_buffer(&Dialect::LONGLINK);
    assert_eq!(decoder.lend([0_u8; 64]), Ok(()));
    assert_eq!(decoder.lend([1_u8; 64]), Err([1; 64]), "there is one already");
    let (frame, length) = message(b"pooled");
    feed(&mut decoder, &frame[..length]);
    assert_eq!(decoder.reclaim(), None);
    assert!(decoder.next_frame().unwrap().is_some());
    assert!(decoder.reclaim().is_some());
    assert_eq!(decoder.lend([0; 64]), Ok(()));
    feed(&mut decoder, &frame[..length]);
    assert_eq!(decoder.next_frame().unwrap().unwrap().body(), b"pooled");
}

#[test]
fn a_skip_goes_on_over_a_buffer_that_was_away() {
    let mut decoder = Decoder::new(&Dialect::LONGLINK, [0_u8; 32]).unwrap();
    let (long, length) = message(&[7; 40]);
    feed(&mut decoder, &long[..16]);
    assert!(decoder.next_frame().is_err());
    let buffer = decoder.reclaim().unwrap();
    assert_eq!(decoder.skipping(), 40);
    decoder.lend(buffer).unwrap();
    feed(&mut decoder, &long[16..32]);
    feed(&mut decoder, &long[32..length]);
    assert!(decoder.is_empty());
}

#[test]
fn more_committed_than_there_was_room_for_counts_as_the_room() {
    let mut buffer = [0; 16];
    let mut decoder = Decoder::new(&Dialect::LONGLINK, &mut buffer[..]).unwrap();
    decoder.commit(usize::MAX);
    assert_eq!(decoder.buffered(), 16);
    assert!(decoder.next_frame().is_err(), "sixteen zeros have a header length of 0");
}

/// A buffer that lends less from one call to the next must not panic.
#[test]
fn a_buffer_that_breaks_its_promise_harms_nobody_else() {
    struct Shrinking([u8; 64], usize);
    impl AsRef<[u8]> for Shrinking {
        fn as_ref(&self) -> &[u8] {
            &self.0[..self.1]
        }
    }
    impl AsMut<[u8]> for Shrinking {
        fn as_mut(&mut self) -> &mut [u8] {
            self.1 = (self.1 * 5 + 3) % 64;
            &mut self.0[..self.1]
        }
    }
    let mut decoder = Decoder::new(&Dialect::LONGLINK, Shrinking([0; 64], 60)).unwrap();
    let (frame, length) = message(b"body");
    for step in 0..200 {
        let space = decoder.space();
        let n = space.len().min(length);
        space[..n].copy_from_slice(&frame[..n]);
        decoder.commit(n);
        match step % 3 {
            0 => drop(decoder.next_frame()),
            1 => drop(decoder.next_frame_mut()),
            _ => drop(decoder.need()),
        }
        if step % 7 == 0 {
            decoder.reset();
        }
    }
}

#[test]
fn bytes_that_are_moved_one_by_one_end_where_those_do_that_are_moved_at_once() {
    for by in 0..12 {
        let (mut one, mut all) = (*b"0123456789", *b"0123456789");
        shift_by_one(&mut one, by);
        shift(&mut all, by);
        assert_eq!(one, all, "by {by}");
    }
}
