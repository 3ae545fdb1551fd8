//! One rule of delivery at a time, where it is rare enough to need its own scene.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod support;

use longlink::delivery::{Accepted, Epoch, Slot};
use longlink::session::{
    Client, Config, Event, Hello, HelloReply, HelloStatus, Identity, Link, Server, ServerConfig, ServerEvent, Work,
};
use longlink::wire::{Decoder, Dialect};
use std::time::Duration;
use support::pipe::Weather;
use support::post::book::{Told, number_of};
use support::post::{Clock, Cut, Memory, Post, Setup, Start, Word};
use support::{S, client, feed, frame, server, written};

const SECOND: Duration = Duration::from_secs(1);

/// Messages are decided one by one, in any order, and bytes take a while.
const FREE: Setup = Setup {
    ordered: false,
    slots: 100,
    tx: 8_192,
    weather: Weather { delay: Duration::from_millis(20), ..Weather::FINE },
    ..Setup::FINE
};

/// As `FREE`, where a server cannot close the older links of the device: they are another machine's.
const APART: Setup = Setup { closes_older: false, ..FREE };

fn online<'m>(memory: &'m mut Memory) -> Post<'m> {
    let mut post = Post::new(memory);
    post.office.busy = 0;
    post.run(SECOND);
    assert!(post.is_online());
    post
}

fn send(post: &mut Post<'_>, count: usize) {
    for _ in 0..count {
        post.device.send(post.now, 20, false).unwrap();
    }
    post.run(SECOND);
}

/// Where among what the server's application was offered a message is.
fn offered(post: &Post<'_>, number: usize) -> usize {
    let at = post.office.pending.iter().position(|pending| number_of(&pending.body) == number);
    at.unwrap_or_else(|| panic!("{number} was not offered"))
}

fn say(post: &mut Post<'_>, number: usize, word: Word) {
    post.say(offered(post, number), word);
}

fn reconnect(post: &mut Post<'_>, cut: Cut) {
    post.cut(cut);
    post.run(3 * SECOND);
    assert!(post.is_online());
}

fn told<'a>(post: &'a Post<'_>, number: usize) -> &'a [Told] {
    &post.device.says.book.fates[number].told
}

fn stored(post: &Post<'_>) -> Vec<usize> {
    post.office.store.messages.iter().map(|(.., body)| number_of(body)).collect()
}

fn end(post: &mut Post<'_>) {
    post.run_quiet(Duration::from_secs(3_600));
}

#[test]
fn a_message_below_the_highest_that_is_stored_is_not_settled_by_it() {
    let mut memory = Memory::new(FREE, 0);
    let mut post = online(&mut memory);
    send(&mut post, 2);
    say(&mut post, 1, Word::Commit);
    reconnect(&mut post, Cut::Reset);
    assert_eq!((told(&post, 0), told(&post, 1)), (&[][..], &[Told::Delivered][..]));
    end(&mut post);
    assert_eq!((stored(&post), told(&post, 0)), (vec![1, 0], &[Told::Delivered][..]));
}

#[test]
fn behind_a_hole_what_is_stored_is_not_sent_again() {
    let mut memory = Memory::new(FREE, 0);
    let mut post = Post::new(&mut memory);
    for _ in 0..3 {
        post.device.send(post.now, 20, false).unwrap();
    }
    post.device.cancel(post.now, 0);
    post.office.busy = 0;
    post.run(5 * SECOND);
    say(&mut post, 1, Word::Commit);
    say(&mut post, 2, Word::Commit);
    let written = post.written;
    for _ in 0..20 {
        reconnect(&mut post, Cut::Reset);
    }
    assert_eq!(
        (post.written, told(&post, 1), told(&post, 2)),
        (written, &[Told::Delivered][..], &[Told::Delivered][..])
    );
}

#[test]
fn what_an_older_link_still_holds_is_not_stored_after_a_newer_one_rejected_it() {
    let mut memory = Memory::new(APART, 0);
    let mut post = online(&mut memory);
    send(&mut post, 1);
    reconnect(&mut post, Cut::HalfOpen(0));
    let (old, new) = (0, 1);
    assert_eq!(post.office.pending.len(), 2);
    post.say(new, Word::Reject);
    post.run(SECOND);
    assert_eq!(told(&post, 0), [Told::Rejected]);
    post.say(old, Word::Accept);
    assert_eq!(stored(&post), []);
}

#[test]
fn bytes_that_reach_an_older_link_after_the_newer_greeted_store_nothing() {
    let mut memory = Memory::new(APART, 0);
    let mut post = online(&mut memory);
    // On their way while the link breaks.
    post.device.send(post.now, 20, false).unwrap();
    post.settle();
    post.lines[0].up.weather.delay = 30 * SECOND;
    post.device.send(post.now, 20, false).unwrap();
    post.settle();
    reconnect(&mut post, Cut::HalfOpen(60_000));
    say(&mut post, 1, Word::Reject);
    post.run(60 * SECOND);
    while !post.office.pending.is_empty() {
        post.say(0, Word::Accept);
    }
    end(&mut post);
    assert_eq!((stored(&post), told(&post, 1)), (vec![0], &[Told::Rejected][..]));
}

#[test]
fn two_links_that_were_offered_the_same_message_store_it_once() {
    let mut memory = Memory::new(APART, 0);
    let mut post = online(&mut memory);
    send(&mut post, 1);
    reconnect(&mut post, Cut::HalfOpen(0));
    post.say(1, Word::Accept);
    post.say(0, Word::Accept);
    end(&mut post);
    assert_eq!(stored(&post), [0]);
}

#[test]
fn while_the_lowest_cannot_be_stored_the_window_does_not_move_past_it() {
    let mut memory = Memory::new(FREE, 0);
    let mut post = online(&mut memory);
    send(&mut post, 70);
    say(&mut post, 0, Word::Release);
    for _ in 0..63 {
        post.say(0, Word::Accept);
    }
    post.run(SECOND);
    let waiting = post.device.client().unsettled();
    assert_eq!((post.office.pending.len(), waiting), (0, 7), "what is beyond the window waits");
    // It comes again, and is refused by the store again.
    for _ in 0..2 {
        post.run(15 * SECOND);
        say(&mut post, 0, Word::Release);
        reconnect(&mut post, Cut::Reset);
    }
    end(&mut post);
    assert!((0..70).all(|number| told(&post, number) == [Told::Delivered]));
}

/// A server's answer to a hello: nothing is stored, and the window has so many bytes.
fn welcome(link: u32, bitmap: usize) -> Vec<u8> {
    let bitmap = vec![0; bitmap];
    let reply = HelloReply {
        version: Hello::VERSION,
        status: HelloStatus::Ok,
        resumed: link > 1,
        idle: 900,
        epoch: Epoch::new(1),
        link,
        max_frame: 65_536,
        accepted: Accepted::new(0, &bitmap).unwrap(),
        retry_after: Duration::ZERO,
    };
    let body = [&reply.encode_fixed()[..], &bitmap].concat();
    frame(&Dialect::LONGLINK, 1_000_000_205, 0xFFFF_FFFE, &body)
}

#[test]
fn what_was_written_is_written_again_also_beyond_the_window() {
    let identity = Some(Identity::volatile(7.try_into().unwrap()));
    let config = Config { identity, ..Config::DEFAULT };
    let (mut tx, mut slots) = (vec![0; 4_096], vec![Slot::FREE; 100]);
    let work = Work { rx: 512, tx: &mut tx, slots: &mut slots, sync: None, dialer: None };
    let decoder = Decoder::new(&Dialect::LONGLINK, vec![0; 512]).unwrap();
    let mut link = Link::new(decoder, Client::new(&config, work).unwrap());
    let mut lengths = Vec::new();
    // The second server has a window of half the width.
    for (number, bitmap) in [(1, 16), (2, 8)] {
        link.handle_connected(S(0));
        link.process(S(0), |_, _| {});
        written(&mut link, S(0));
        feed(&mut link, S(0), &welcome(number, bitmap), |_, _| {});
        if number == 1 {
            (0..100).for_each(|_| assert!(link.endpoint_mut().send(S(0), b"").is_ok()));
        }
        lengths.push(written(&mut link, S(0)).len());
    }
    assert_eq!(lengths, [1_600, 1_600]);
}

/// A backup, and then so many messages that the next ones are beyond what it has reserved.
fn outdated<'m>(memory: &'m mut Memory) -> Post<'m> {
    let mut post = online(memory);
    post.office.eager = 100;
    send(&mut post, 1);
    post.device.save(post.now);
    post.device.back_up();
    send(&mut post, 70);
    assert_eq!(post.device.client().unsettled(), 0);
    post
}

#[test]
fn an_older_backup_loses_nothing_behind_delivered() {
    let mut memory = Memory::new(FREE, 1);
    let mut post = outdated(&mut memory);
    post.restart(Start::Backup(0), Cut::Reset);
    send(&mut post, 3);
    end(&mut post);
    assert_eq!(stored(&post).len(), 74);
}

#[test]
fn an_older_backup_is_noticed_by_the_second_process_after_it() {
    let mut memory = Memory::new(FREE, 2);
    let mut post = outdated(&mut memory);
    post.connects = false;
    post.restart(Start::Backup(0), Cut::Reset);
    send(&mut post, 3);
    post.restart(Start::Disk, Cut::Reset);
    end(&mut post);
    assert_eq!(stored(&post).len(), 74);
    assert!((71..74).all(|number| told(&post, number) == [Told::Delivered]));
}

#[test]
fn a_restart_sends_what_is_not_settled_under_the_sequence_it_had() {
    let mut memory = Memory::new(FREE, 1);
    let mut post = online(&mut memory);
    send(&mut post, 1);
    say(&mut post, 0, Word::Commit);
    post.restart(Start::Exact, Cut::Reset);
    end(&mut post);
    assert_eq!((stored(&post), told(&post, 0)), (vec![0], &[Told::Delivered][..]));
}

#[test]
fn a_restart_after_the_first_greeting_stores_once_what_was_queued_before_it() {
    for saves_each in [true, false] {
        let mut memory = Memory::new(Setup { clock: Clock::Good, saves_each, eager: 100, ..FREE }, 1);
        let mut post = Post::new(&mut memory);
        post.office.busy = 0;
        post.device.send(post.now, 20, false).unwrap();
        post.run(SECOND);
        assert_eq!(stored(&post), [0]);
        post.restart(Start::Disk, Cut::Reset);
        end(&mut post);
        assert_eq!(stored(&post), [0]);
    }
}

#[test]
fn a_word_on_a_message_of_an_epoch_that_is_over_touches_none_of_the_new_one() {
    let mut memory = Memory::new(APART, 1);
    let mut post = online(&mut memory);
    send(&mut post, 1);
    post.restart(Start::Empty, Cut::HalfOpen(0));
    post.run(3 * SECOND);
    say(&mut post, 0, Word::Accept);
    send(&mut post, 1);
    end(&mut post);
    assert_eq!(stored(&post), [1]);
}

#[test]
fn a_message_whose_rejection_was_lost_is_decided_anew() {
    for word in [Word::Accept, Word::Reject] {
        let mut memory = Memory::new(FREE, 0);
        let mut post = online(&mut memory);
        send(&mut post, 1);
        say(&mut post, 0, Word::Reject);
        reconnect(&mut post, Cut::Reset);
        say(&mut post, 0, word);
        post.run(SECOND);
        let expected = if word == Word::Accept { (vec![0], Told::Delivered) } else { (vec![], Told::Rejected) };
        assert_eq!((stored(&post), told(&post, 0)), (expected.0, &[expected.1][..]));
    }
}

#[test]
fn what_is_sent_again_keeps_its_sequence_or_fails() {
    let mut memory = Memory::new(Setup { clock: Clock::Stopped, eager: 100, ..FREE }, 1);
    let mut post = Post::new(&mut memory);
    post.office.busy = 0;
    post.device.send(post.now, 20, false).unwrap();
    post.run(SECOND);
    post.connects = false;
    post.restart(Start::Empty, Cut::Reset);
    post.device.send(post.now, 20, true).unwrap();
    post.device.cancel(post.now, 0);
    post.run(SECOND);
    post.device.send_again(post.now, 0);
    end(&mut post);
    assert_eq!((stored(&post), told(&post, 1)), (vec![0], &[Told::Unknown, Told::Unknown][..]));
}

#[test]
fn a_late_wake_up_leaves_no_deadline_behind() {
    let linger = Duration::from_millis(200);
    let mut link = client(Config { linger, ..Config::DEFAULT });
    link.handle_connected(S(0));
    link.process(S(0), |_, _| {});
    link.endpoint_mut().send(S(0), b"late").unwrap();
    link.process(S(7), |_, _| {});
    assert!(link.poll_timeout().is_none_or(|at| at > S(7)), "{:?}", link.poll_timeout());
}

#[test]
fn a_lifetime_that_ends_in_a_sleep_ends_its_message() {
    let message = longlink::delivery::MessagePolicy { lifetime: SECOND, ..Config::DEFAULT.message };
    let mut link = client(Config { message, ..Config::DEFAULT });
    link.handle_connected(S(0));
    link.process(S(0), |_, _| {});
    link.endpoint_mut().send(S(0), b"late").unwrap();
    written(&mut link, S(0));
    let mut failed = 0;
    link.process(S(60), |_, event| failed += usize::from(matches!(event, Event::Failed { written: true, .. })));
    assert!(link.poll_timeout().is_none_or(|at| at > S(60)), "{:?}", link.poll_timeout());
    link.process(S(60), |_, event| failed += usize::from(matches!(event, Event::Failed { written: true, .. })));
    assert_eq!(failed, 1);
}

#[test]
fn a_greeting_on_a_link_that_is_leaving_is_not_offered() {
    let mut link = server(ServerConfig::DEFAULT, S(0));
    link.process(S(11), |_, _| {});
    assert!(link.closing().is_some());
    let hello = Hello {
        version: Hello::VERSION,
        resume: false,
        heartbeat: 30,
        epoch: Epoch::new(1),
        device: 7.try_into().unwrap(),
        link: 1,
        max_frame: 1_024,
        token: b"",
    };
    let hello = frame(&Dialect::LONGLINK, 205, 0xFFFF_FFFE, &hello.encode_fixed());
    let on = |_: &mut Server<'_, Vec<u8>>, event: ServerEvent<'_>| panic!("{event:?}");
    feed(&mut link, S(11), &hello, on);
}
