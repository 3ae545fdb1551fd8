//! Large payloads: what each side does when a chunk, a reply, a link or the other side is lost or wrong.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

#[path = "support/transfer.rs"]
mod support;

use longlink::delivery::transfer::{
    Answer, BodyError, Chunk, ChunkRefusal, Handle, Key, Op, Open, OpenReply, Quota, Range, State, Status, Step,
    Upload, UploadError, limits,
};
use std::time::Duration;
use support::{S, World, crc32c, go, in_the_middle, open, opened, payload, sender, world};

#[test]
fn each_chunk_of_ten_megabytes_is_sent_once() {
    let payload = payload(10 << 20);
    let open = Open::new(Key([1; 16]), 10 << 20, crc32c(&payload));
    let mut world = World::new(open, payload, 1, 1);
    world.run();
    world.arrived();
    assert_eq!((world.server.chunks, world.requests), (6_991, 6_993));
}

#[test]
fn a_server_restart_in_the_middle_is_opened_again_and_goes_on_from_its_snapshot() {
    for (has_snapshots, sent_again) in [(true, 0), (false, 20)] {
        let mut world = in_the_middle(20);
        world.server.restart(has_snapshots);
        world.disconnect();
        world.run();
        world.arrived();
        assert_eq!(world.server.stored, 40 + sent_again);
    }
}

#[test]
fn an_evicted_transfer_is_opened_again_over_the_same_link() {
    let mut world = in_the_middle(20);
    world.server.evict();
    world.run();
    world.arrived();
    assert_eq!((world.server.stored, world.upload.progress().total), (60, 10_000));
}

#[test]
fn a_server_that_always_drops_what_it_took_is_left_after_some_rounds() {
    let mut world = in_the_middle(20);
    let mut evictions = 0;
    while !world.upload.state().is_final() {
        world.step();
        if world.server.stored.is_multiple_of(20) {
            evictions += world.server.held.len();
            world.server.evict();
        }
    }
    assert_eq!(world.upload.state(), State::Failed(UploadError::NoProgress { rounds: limits::ROUNDS }));
    assert!((8..=9).contains(&evictions), "{evictions}");
}

#[test]
fn the_same_key_with_another_total_chunk_or_checksum_is_refused_and_changes_nothing() {
    let mut world = in_the_middle(20);
    let held = *world.upload.open();
    let others = [
        Open::new(held.key(), 9_999, held.crc()).with_chunk(256).unwrap(),
        Open::new(held.key(), 10_000, !held.crc()).with_chunk(256).unwrap(),
        held.with_chunk(257).unwrap(),
    ];
    for other in others {
        let mut second = Upload::new(other, [Range::EMPTY; 1]);
        let step = second.poll_step().unwrap();
        second.handle_reply(S(0), step, &world.server.open(&other.to_bytes())).unwrap();
        assert_eq!((second.state(), second.poll_step()), (State::Failed(UploadError::Contradicts), None));
    }
    world.run();
    world.arrived();
    assert_eq!(world.server.stored, 40);
}

#[test]
fn a_chunk_that_comes_twice_is_acknowledged_twice_and_stored_once() {
    let mut world = in_the_middle(0);
    world.poll();
    for _ in 0..3 {
        world.deliver(0);
    }
    assert!(world.under_way[0].replies.iter().all(Vec::is_empty));
    world.lose(0);
    world.run();
    world.arrived();
    assert_eq!((world.server.chunks, world.server.stored), (43, 40));
}

#[test]
fn an_unaligned_short_or_over_long_chunk_is_refused_and_not_stored() {
    let mut world = in_the_middle(20);
    let held = &world.server.held[&Key([1; 16])];
    let (handle, before) = (held.handle.unwrap(), held.bytes.clone());
    let bytes = [0; 512];
    for (offset, total, length) in
        [(5_121, 10_000, 256), (5_120, 10_000, 255), (5_120, 10_000, 257), (5_120, 10_000, 512), (5_120, 10_001, 256)]
    {
        let mut body = [0; 600];
        let length = Chunk::new(handle, offset, total, &bytes[..length]).unwrap().encode_into(&mut body).unwrap();
        assert_eq!(world.server.chunk(&body[..length]), Err(ChunkRefusal::Contradicts));
        assert_eq!(world.server.chunk(&body[..12]), Err(ChunkRefusal::Malformed));
    }
    assert_eq!(world.server.held[&Key([1; 16])].bytes, before);
    world.run();
    world.arrived();
}

#[test]
fn a_sender_that_restarts_goes_on_with_the_32_bytes_of_its_open() {
    let mut world = in_the_middle(20);
    world.restart_client();
    world.run();
    world.arrived();
    assert_eq!((world.server.chunks, Open::LEN), (40, 32));
}

#[test]
fn a_sender_that_lost_its_key_begins_anew_and_mixes_nothing() {
    let mut world = in_the_middle(20);
    world.payload.reverse();
    world.disconnect();
    world.upload = Upload::new(open(2, &world.payload), vec![Range::EMPTY; 8]);
    world.run();
    world.arrived();
    assert_eq!(world.server.held[&Key([1; 16])].assembly.missing_chunks(), 20);
}

#[test]
fn a_wrong_checksum_drops_everything_and_ends_after_some_attempts() {
    let mut world = in_the_middle(20);
    world.server.corrupts = true;
    assert_eq!(world.run(), State::Failed(UploadError::WrongCrc { attempts: limits::PAYLOAD_ATTEMPTS }));
    assert_eq!(world.server.stored, 3 * 40);
    let mut world = in_the_middle(20);
    world.server.corrupts = true;
    world.step();
    world.server.corrupts = false;
    world.run();
    world.arrived();
}

#[test]
fn a_fifth_open_transfer_waits_until_one_is_done() {
    let mut world = world(10_000);
    for key in 2..=5 {
        world.server.open(&open(key, &world.payload).to_bytes());
    }
    for _ in 0..20 {
        world.step();
        assert_eq!(world.upload.state(), State::Waiting);
    }
    assert_eq!(world.now, S(0) + 19 * limits::BUSY_PAUSE);
    world.server.open(&open(3, &world.payload).with_op(Op::Abort).to_bytes());
    world.run();
    world.arrived();
}

#[test]
fn a_payload_of_no_bytes_is_complete_at_open() {
    let mut world = world(0);
    world.run();
    world.arrived();
    assert_eq!((world.requests, world.server.chunks), (1, 0));
}

#[test]
fn a_payload_longer_than_the_quota_is_refused_for_good() {
    let mut world = world(10_000);
    world.server.quota = Quota { bytes: 9_999, ..Quota::DEFAULT };
    assert_eq!(world.run(), State::Failed(UploadError::TooLarge { total: 10_000 }));
    assert_eq!(world.requests, 1);
}

#[test]
fn a_peer_with_shorter_frames_after_a_reconnect_ends_a_transfer_whose_chunks_do_not_fit() {
    let failed = State::Failed(UploadError::ChunkTooLong { chunk: 256, longest: 0 });
    for (max_frame, expected) in [(256 + 12 + 16, State::Complete), (255 + 12 + 16, failed)] {
        let mut world = in_the_middle(20);
        world.disconnect();
        world.upload.handle_limit(max_frame, 16);
        assert_eq!(world.run(), expected);
        world.upload.handle_limit(0, 16);
        assert_eq!(world.upload.state(), expected, "what has ended stays so");
    }
    // Under another key it arrives.
    let payload = payload(10_000);
    let long = open(1, &payload).with_chunk(1_000).unwrap();
    let mut world = World::new(long, payload, 8, 8);
    world.upload.handle_limit(999 + 28, 16);
    let State::Failed(UploadError::ChunkTooLong { chunk: 1_000, longest }) = world.run() else { panic!() };
    let short = open(2, &world.payload).with_chunk(longest).unwrap();
    world.upload = Upload::new(short, vec![Range::EMPTY; 8]);
    world.upload.handle_limit(999 + 28, 16);
    world.run();
    world.arrived();
    assert_eq!(world.server.chunks, 11);
}

#[test]
fn a_status_begins_nothing_and_an_abort_drops_everything() {
    let mut world = in_the_middle(20);
    let open = *world.upload.open();
    let other = Open::new(Key([9; 16]), 10_000, 0);
    for (asked, status) in [
        (open.with_op(Op::Status), Status::Go),
        (other.with_op(Op::Status), Status::UnknownKey),
        (open.with_op(Op::Abort), Status::UnknownKey),
        (open.with_op(Op::Status), Status::UnknownKey),
    ] {
        let reply = world.server.open(&asked.to_bytes());
        assert_eq!(OpenReply::decode(&reply, &asked).unwrap().answer().status(), status);
    }
    assert!(world.server.held.is_empty());
    world.run();
    world.arrived();
}

#[test]
fn no_more_chunks_are_under_way_than_the_window() {
    for (asked, window) in [(0, 1), (1, 1), (7, 7), (99, limits::MAX_WINDOW)] {
        let mut world = world(10_000);
        world.upload = Upload::new(*world.upload.open(), vec![Range::EMPTY; 1]).with_window(asked);
        world.step();
        while world.poll() {}
        assert_eq!(world.under_way.len(), window);
        let refused = world.under_way.pop().unwrap();
        world.upload.put_back(refused.step);
        assert_eq!(world.upload.poll_step(), Some(refused.step));
    }
}

#[test]
fn a_server_that_answers_nothing_is_left_unless_the_link_is_lost_or_something_is_answered() {
    for (cut_every, answer_every, ended) in [(99, 99, true), (4, 99, false), (99, 19, false), (99, 20, true)] {
        let mut world = in_the_middle(5);
        for lost in 1..=30 {
            if !world.poll() {
                break;
            }
            world.lose(0);
            if lost % cut_every == 0 {
                world.disconnect();
            }
            if lost % answer_every == 0 {
                world.step();
            }
        }
        let failed = State::Failed(UploadError::NoAnswer { requests: 20 });
        assert_eq!(world.upload.state() == failed, ended, "{cut_every} {answer_every}");
    }
}

#[test]
fn a_busy_server_is_asked_again_when_it_said_and_within_an_hour() {
    let mut upload = sender();
    for (said, waited) in [(0, 5), (5, 1), (1_000, 1), (30_000, 30), (u64::MAX, 3_600)] {
        let busy = Answer::new(Status::Busy).with_retry_after(Duration::from_millis(said));
        opened(&mut upload, 100, busy, &[]);
        assert_eq!((upload.poll_step(), upload.poll_timeout()), (None, Some(S(100 + waited))));
        upload.handle_timeout(S(99 + waited));
        upload.handle_disconnected();
        assert_eq!((upload.state(), upload.poll_step()), (State::Waiting, None), "too early");
        upload.handle_timeout(S(100 + waited));
        assert_eq!((upload.state(), upload.poll_timeout()), (State::Asking, None));
    }
}

#[test]
fn all_there_and_not_yet_safe_is_asked_about_later_and_later_but_not_for_ever() {
    let mut upload = sender();
    for pause in [1, 1, 2, 4, 8, 16, 32, 64] {
        opened(&mut upload, 100, go(0), &[]);
        assert_eq!(upload.poll_timeout(), Some(S(100 + pause)));
        upload.handle_timeout(S(200));
    }
    opened(&mut upload, 100, go(0), &[]);
    assert_eq!(upload.state(), State::Failed(UploadError::NoProgress { rounds: 8 }));
}

#[test]
fn a_server_that_does_not_know_what_it_is_to_open_is_left() {
    let mut upload = sender();
    for _ in 0..limits::ROUNDS {
        opened(&mut upload, 100, Answer::new(Status::UnknownKey), &[]);
        upload.handle_timeout(S(1_000));
    }
    assert_eq!(upload.state(), State::Failed(UploadError::NoProgress { rounds: 8 }));
}

#[test]
fn a_new_list_replaces_the_one_before() {
    let mut upload = sender();
    opened(&mut upload, 0, go(16), &[(0, 4_096)]);
    upload.handle_disconnected();
    opened(&mut upload, 0, go(2), &[(512, 256), (3_840, 256)]);
    for offset in [512, 3_840] {
        let Some(Step::Chunk(place)) = upload.poll_step() else { panic!() };
        assert_eq!((place.range().offset(), place.range().length()), (offset, 256));
        upload.handle_reply(S(0), Step::Chunk(place), &[]).unwrap();
    }
    assert!(matches!(upload.poll_step(), Some(Step::Open(_))));
}

#[test]
fn what_is_said_of_a_chunk_under_an_old_handle_is_not_believed_under_a_new_one() {
    let mut upload = sender();
    opened(&mut upload, 0, go(16), &[(0, 4_096)]);
    let (first, second) = (upload.poll_step().unwrap(), upload.poll_step().unwrap());
    upload.handle_reply(S(0), second, &ChunkRefusal::UnknownHandle.to_bytes()).unwrap();
    opened(&mut upload, 0, Answer::go(Handle::FIRST.next(), 16), &[(0, 4_096)]);
    let again = upload.poll_step().unwrap();
    for (said, acknowledged) in [(first, 0), (again, 256), (again, 256)] {
        upload.handle_reply(S(0), said, &[]).unwrap();
        assert_eq!(upload.progress().acknowledged, acknowledged);
    }
}

#[test]
fn a_list_without_progress_counts_unless_the_link_was_lost_before_it() {
    for (is_lost, rounds) in [(true, 50), (false, 8)] {
        let mut upload = sender();
        opened(&mut upload, 0, go(16), &[(0, 4_096)]);
        for _ in 0..rounds {
            assert_eq!(upload.state(), State::Sending);
            let step = upload.poll_step().unwrap();
            if is_lost {
                upload.handle_disconnected();
            } else {
                upload.handle_reply(S(0), step, &ChunkRefusal::UnknownHandle.to_bytes()).unwrap();
            }
            opened(&mut upload, 0, go(16), &[(0, 4_096)]);
        }
        assert_eq!(upload.state() == State::Sending, is_lost);
    }
}

#[test]
fn after_a_wrong_checksum_progress_is_counted_anew() {
    let mut upload = sender();
    opened(&mut upload, 0, go(1), &[(0, 256)]);
    upload.handle_disconnected();
    opened(&mut upload, 0, Answer::new(Status::WrongCrc), &[]);
    for missing in (1..=16).rev() {
        opened(&mut upload, 0, go(missing), &[(0, 256)]);
        let step = upload.poll_step().unwrap();
        upload.handle_reply(S(0), step, &[]).unwrap();
    }
    assert_eq!(upload.state(), State::Sending);
}

#[test]
fn no_room_for_a_chunk_stops_the_others_until_the_server_was_asked_again() {
    let mut upload = sender();
    opened(&mut upload, 0, go(16), &[(0, 4_096)]);
    let steps = [upload.poll_step().unwrap(), upload.poll_step().unwrap()];
    upload.handle_reply(S(100), steps[1], &ChunkRefusal::Quota.to_bytes()).unwrap();
    assert_eq!((upload.poll_step(), upload.poll_timeout()), (None, Some(S(101))));
    upload.handle_reply(S(100), steps[0], &[]).unwrap();
    upload.handle_timeout(S(101));
    opened(&mut upload, 101, go(15), &[(256, 3_840)]);
    assert_eq!(upload.state(), State::Sending);
}

#[test]
fn a_reply_that_cannot_be_read_counts_as_none() {
    let mut upload = sender();
    for _ in 0..limits::ATTEMPTS {
        let step = upload.poll_step().unwrap();
        let error = BodyError::Length { length: 3, expected: 16 };
        assert_eq!(upload.handle_reply(S(0), step, b"odd"), Err(error));
        assert_eq!(upload.handle_reply(S(0), step, b"odd"), Ok(()), "it is not under way any more");
    }
    assert_eq!(upload.state(), State::Failed(UploadError::NoAnswer { requests: 20 }));
}
