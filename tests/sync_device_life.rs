//! Sync over the life of a link: a request that is held, stubs and bad items, sleep, the end, commands in any order.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod support;

use longlink::session::{Client, Config, ConfigError, Disconnect, GoAwayCode, Identity, SendError, Work};
use longlink::sync::{
    self, Epoch, FETCH, Fetch, FetchReply, FetchStatus, Memory, NOTIFY, Row, SYNC, SYNC_DONE, StaleReceipt,
};
use std::time::Duration;
use support::native::{DEVICE, HEARTBEAT, REPLY};
use support::phone::{MAILBOX, Phone, with};
use support::sync::{Answer, Asked, acked, heads, something};
use support::{Random, S, goaway};

const HOLDING: Config<'static> = with(sync::Config { hold: Duration::from_secs(300), ..sync::Config::DEFAULT });

/// Up to date in epoch 1 with key 1 at 10, the ack written.
fn quiet() -> Phone {
    let mut phone = Phone::primed(MAILBOX, &Answer::of(1).key(1, 10));
    assert_eq!(phone.acked(), (1, vec![(1, 10)]));
    phone
}

fn commands(phone: &mut Phone) -> Vec<u32> {
    phone.frames().iter().map(|frame| frame.command).collect()
}

// Hold.

#[test]
fn a_held_request_goes_on_over_heartbeats_and_is_overtaken_by_a_wish_a_notify_and_a_cut() {
    let mut phone = Phone::new(HOLDING);
    phone.prime(&Answer::of(1).key(1, 10));
    let held = phone.asked();
    assert_eq!((held.hold, held.keys), (300, vec![(1, 10)]));
    for second in (30..=270).step_by(30) {
        phone.at(second);
        assert_eq!(commands(&mut phone), [HEARTBEAT], "at {second}");
        phone.give(HEARTBEAT + REPLY, 0xFFFF_FFFF, &[]);
    }
    phone.reply(held.sequence, &Answer::of(1));
    let held = phone.asked();
    assert_eq!(held.hold, 300);
    let now = phone.now;
    phone.client().sync(now);
    let wished = phone.asked();
    assert_eq!(wished.hold, 0);
    phone.reply(held.sequence, &Answer::of(1).key(1, 12));
    phone.reply(wished.sequence, &Answer::of(1));
    let held = phone.asked();
    phone.notify(&heads(1, &[(1, 11)]));
    let notified = phone.asked();
    assert_eq!((notified.hold, notified.sequence), (0, held.sequence + 1));
    phone.cut();
    phone.greet();
    assert_eq!(phone.asked().hold, 0, "who comes back has not everything");
    assert_eq!(phone.page, None);
}

#[test]
fn a_hold_that_the_server_forgets_ends_by_the_time_out_although_heartbeats_are_answered() {
    let mut phone = Phone::new(HOLDING);
    phone.prime(&Answer::of(1).key(1, 10));
    let held = phone.asked();
    let frames = phone.until_written(1_000);
    let again = Asked::read(frames[0].sequence, &frames[0].body);
    assert_eq!((again.keys, again.hold), (held.keys, 0));
    assert!((335..=336).contains(&phone.now.as_micros().div_euclid(1_000_000)), "{:?}", phone.now);
}

// Stubs.

#[test]
fn the_rest_of_a_stub_is_fetched_in_parts_before_the_commit_across_a_reconnect() {
    let body: Vec<u8> = (0..2_000_u32).map(|i| (i * 7) as u8).collect();
    let mut phone = quiet();
    phone.notify(&something(1));
    phone.answer(&Answer::of(1).key(1, 11).stub(1, 11, 2_000, &body[..100]));
    let item = phone.page.clone().unwrap().items[0].clone();
    let mut got = item.bytes.clone();
    let mut cuts = 0;
    while got.len() < item.total.unwrap() as usize {
        let (now, fetch) = (phone.now, Fetch::new(1, Epoch::FIRST, 11, got.len() as u32, 316));
        let token = phone.client().request(now, FETCH, &fetch.to_bytes()).unwrap();
        let frames = phone.frames();
        assert_eq!((frames.len(), frames[0].command), (1, FETCH), "no ack before the commit");
        let asked = Fetch::decode(&frames[0].body).unwrap();
        assert_eq!(asked, fetch);
        if got.len() > 900 && cuts == 0 {
            phone.cut();
            assert_eq!(
                phone.lines(),
                ["page".to_string(), format!("lost {} LinkLost", token.sequence()), "offline transport".into()]
            );
            phone.greet();
            assert_eq!(phone.frames(), [], "the page is out still");
            phone.lines();
            cuts += 1;
            continue;
        }
        let part = &body[asked.offset as usize..(asked.offset as usize + 300).min(2_000)];
        let head = FetchReply { total: 2_000, offset: asked.offset, ..FetchReply::new(FetchStatus::Ok) };
        phone.give(FETCH + REPLY, frames[0].sequence, &[&head.encode_fixed()[..], part].concat());
        let reply = phone.reply.take().unwrap();
        got.extend(FetchReply::decode(&reply, &fetch).unwrap().bytes);
        if cuts > 0 {
            phone.lines();
        } else {
            phone.told.retain(|line| line == "page");
        }
    }
    assert_eq!((got, cuts), (body, 1));
    phone.commit().unwrap();
    assert_eq!(phone.asked().keys, [(1, 11)]);
}

#[test]
fn an_item_that_is_gone_is_committed_without_its_rest() {
    let mut phone = quiet();
    phone.notify(&something(1));
    phone.answer(&Answer::of(1).key(1, 11).stub(1, 11, 2_000, b"first"));
    let (now, fetch) = (phone.now, Fetch::new(1, Epoch::FIRST, 11, 5, 316));
    phone.client().request(now, FETCH, &fetch.to_bytes()).unwrap();
    let frames = phone.frames();
    phone.give(FETCH + REPLY, frames[0].sequence, &FetchReply::new(FetchStatus::Gone).encode_fixed());
    let reply = phone.reply.take().unwrap();
    assert_eq!(FetchReply::decode(&reply, &fetch).unwrap().status, FetchStatus::Gone);
    phone.commit().unwrap();
    assert_eq!(phone.acked(), (1, vec![(1, 11)]));
}

// Poison.

#[test]
fn a_bad_item_is_passed_alone_and_told_as_a_hole() {
    let mut phone = quiet();
    phone.notify(&something(1));
    phone.answer(&Answer::of(1).key(1, 12).item(1, 11, b"bad").item(1, 12, b"good"));
    for round in 0..3 {
        assert_eq!(phone.reject(0), Ok(sync::Rejected::AskedAgain));
        let frames = phone.until_written(100);
        let asked = Asked::read(frames[0].sequence, &frames[0].body);
        assert_eq!(asked.max_items, if round == 2 { 1 } else { 100 });
        let all = Answer::of(1).key(1, 12).item(1, 11, b"bad").item(1, 12, b"good");
        let one = Answer::of(1).key(1, 11).item(1, 11, b"bad").more();
        phone.reply(asked.sequence, if round == 2 { &one } else { &all });
    }
    phone.lines();
    assert_eq!(phone.reject(0), Ok(sync::Rejected::Passed));
    assert_eq!(phone.lines(), ["hole 1 11"]);
    assert_eq!(phone.cursor(), (1, vec![(1, 11)]));
    assert_eq!(phone.asked().keys, [(1, 11)]);
}

#[test]
fn a_page_that_cannot_be_stored_just_now_is_asked_for_again() {
    let mut phone = quiet();
    phone.notify(&something(1));
    phone.answer(&Answer::of(1).key(1, 11).item(1, 11, b"a"));
    let now = phone.now;
    phone.client().abandon(now);
    assert_eq!(phone.commit(), Err(StaleReceipt));
    let frames = phone.until_written(10);
    assert_eq!(Asked::read(frames[0].sequence, &frames[0].body).keys, [(1, 10)]);
}

// Sleep.

#[test]
fn after_eight_hours_of_sleep_the_answer_in_the_socket_is_taken() {
    let mut phone = quiet();
    phone.notify(&something(1));
    let sequence = phone.asked().sequence;
    phone.now = S(28_800);
    phone.reply(sequence, &Answer::of(1).key(1, 11));
    assert_eq!(phone.lines(), ["page"]);
    assert_eq!(phone.link.closing(), None);
}

#[test]
fn after_a_sleep_the_clock_of_a_request_starts_again_and_what_is_due_is_asked() {
    let mut phone = quiet();
    phone.notify(&something(1));
    let sequence = phone.asked().sequence;
    phone.at(28_800);
    assert_eq!((phone.lines(), commands(&mut phone)), (vec![], vec![HEARTBEAT]), "not a failure yet");
    phone.give(HEARTBEAT + REPLY, 0xFFFF_FFFF, &[]);
    phone.at(28_820).reply(sequence, &Answer::of(1).key(1, 11));
    phone.commit().unwrap();
    phone.frames();
    phone.at(100_000);
    let all = commands(&mut phone);
    assert!(all.contains(&SYNC) && all.contains(&HEARTBEAT), "{all:?}");
}

// The end of a link.

#[test]
fn what_is_stored_is_said_before_the_goaway() {
    let mut phone = Phone::primed(MAILBOX, &Answer::of(1).key(1, 10));
    let now = phone.now;
    phone.client().close(now);
    assert_eq!(phone.link.closing(), None, "not before it is written");
    assert_eq!(commands(&mut phone), [SYNC_DONE, 247]);
    assert_eq!(phone.link.closing(), Some(Disconnect::Closed));
}

#[test]
fn a_page_that_is_committed_while_the_link_closes_is_acknowledged_and_nothing_more_is_asked() {
    for more in [false, true] {
        let mut phone = quiet();
        phone.notify(&something(1));
        let sequence = phone.asked().sequence;
        phone.feed(&goaway(GoAwayCode::Restart));
        phone.reply(sequence, &Answer { more, ..Answer::of(1).key(1, 11).item(1, 11, b"a") });
        assert_eq!(phone.lines(), ["goaway Restart", "page"]);
        phone.commit().unwrap();
        println!("more: {more}");
        assert_eq!(phone.acked(), (1, vec![(1, 11)]));
        assert_eq!(phone.frames(), []);
    }
}

#[test]
fn a_close_waits_for_no_page_and_no_answer() {
    let mut phone = quiet();
    phone.notify(&something(1));
    let sequence = phone.asked().sequence;
    let now = phone.now;
    phone.client().close(now);
    assert_eq!(commands(&mut phone), [247]);
    phone.reply(sequence, &Answer::of(1).key(1, 11));
    assert_eq!(phone.page, None);
}

// The application's commands.

#[test]
fn the_commands_of_sync_are_not_the_applications_and_fetch_is() {
    let mut phone = quiet();
    let now = phone.now;
    assert_eq!(phone.client().request(now, SYNC, b"").unwrap_err(), SendError::IsSync);
    assert_eq!(phone.client().send_one_way(now, SYNC_DONE, b"").unwrap_err(), SendError::IsSync);
    assert!(phone.client().request(now, FETCH, b"").is_ok());
    let mut plain = Phone::new(Config { identity: Some(Identity::volatile(DEVICE)), ..Config::DEFAULT });
    plain.greet();
    let now = plain.now;
    assert!(plain.client().request(now, SYNC, b"").is_ok());
    plain.notify(b"x");
    assert_eq!(plain.lines(), ["online", "push 24/0"]);
}

#[test]
fn without_a_mailbox_its_commands_do_nothing() {
    let mut phone = quiet();
    phone.notify(&something(1));
    phone.answer(&Answer::of(1).key(1, 11));
    let page = phone.page.clone().unwrap();
    let mut plain = Phone::new(Config { sync: None, ..MAILBOX });
    assert_eq!(plain.client().restore_cursor(&[]), Ok(()));
    plain.greet();
    let now = plain.now;
    plain.client().sync(now);
    plain.client().abandon(now);
    assert_eq!(plain.client().commit(now, &page.receipt()), Err(StaleReceipt));
    assert_eq!(plain.client().cursor_after(&page.receipt(), &mut []), Ok(0));
    assert!(plain.client().cursor().is_none() && !plain.client().is_caught_up());
    assert_eq!(plain.frames(), []);
}

#[test]
fn a_cursor_is_restored_before_the_first_link_and_not_with_one() {
    let mut phone = quiet();
    phone.notify(&something(1));
    phone.answer(&Answer::of(1).key(1, 11).key(7, 3));
    let (page, mut out) = (phone.page.clone().unwrap(), [0; 100]);
    let length = phone.client().cursor_after(&page.receipt(), &mut out).unwrap();
    assert_eq!(phone.client().restore_cursor(&out[..length]), Err(sync::CursorError::Online));
    let mut again = Phone::new(MAILBOX);
    again.client().restore_cursor(&out[..length]).unwrap();
    assert_eq!(again.cursor(), (1, vec![(1, 11), (7, 3)]));
    again.connect();
    assert_eq!(again.client().restore_cursor(&out[..length]), Err(sync::CursorError::Online), "while it greets");
}

#[test]
fn to_be_caught_up_ends_with_a_link_a_hint_or_a_page() {
    let mut phone = quiet();
    assert!(phone.client().is_caught_up());
    phone.notify(&something(1));
    assert!(!phone.client().is_caught_up());
    phone.answer(&Answer::of(1));
    assert!(phone.client().is_caught_up());
    phone.cut();
    phone.greet();
    assert!(!phone.client().is_caught_up());
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    fn error(config: Config<'static>, rx: usize, memory: bool) -> Option<ConfigError> {
        let config: &'static Config<'static> = Box::leak(Box::new(config));
        let memory = memory.then(|| -> &'static mut Memory { Box::leak(Box::new(Memory::<[Row; 8]>::new())) });
        let tx = Box::leak(vec![0; 1_024].into_boxed_slice());
        Client::new(config, Work { rx, tx, slots: &mut [], sync: memory, dialer: None }).err()
    }
    assert_eq!(error(MAILBOX, 1_024, true), None);
    assert_eq!(error(MAILBOX, 1_024, false), Some(ConfigError::NoSyncMemory));
    let (mut tx, mut keys) = ([0; 1_024], Memory::<[Row; 0]>::new());
    let work = Work { rx: 1_024, tx: &mut tx, slots: &mut [], sync: Some(&mut keys), dialer: None };
    assert_eq!(Client::new(&MAILBOX, work).err(), Some(ConfigError::NoSyncMemory), "for no key");
    assert_eq!(error(Config { identity: None, ..MAILBOX }, 1_024, true), Some(ConfigError::NoIdentity));
    assert_eq!(error(MAILBOX, 272, true), None, "the least that a greeting allows");
    let too_long = with(sync::Config { max_bytes: Some(1_009), ..sync::Config::DEFAULT });
    let expected = sync::ConfigError::Bytes { given: 1_009, required: 256, longest: 1_008 };
    assert_eq!(error(too_long, 1_024, true), Some(ConfigError::Sync(expected)));
    assert_eq!(error(too_long, 1_025, true), None);
}

// In any order.

#[test]
fn whatever_happens_in_whatever_order_no_deadline_is_left_behind_and_one_request_is_under_way() {
    for seed in 0..400 {
        let mut random = Random(seed);
        let hold = Duration::from_secs(if seed % 2 == 0 { 0 } else { 60 });
        let mut phone = Phone::new(with(sync::Config { hold, rounds: 3, ..sync::Config::DEFAULT }));
        let (mut millis, mut asked, mut online, mut val) = (0, None::<Asked>, false, 0_u64);
        for step in 0..200 {
            millis += [0, 1, 100, 1_000, 40_000][random.below(5) as usize];
            phone.at_millis(millis);
            let now = phone.now;
            match random.below(12) {
                0 if online => {
                    phone.cut();
                    (online, asked) = (false, None);
                }
                0 | 1 if !online => {
                    phone.greet();
                    online = true;
                }
                2 => phone.client().sync(now),
                3 if online => phone.notify(&heads(1, &[(1, val + random.below(3))])),
                4 if online => phone.notify(&something(1)),
                5 => phone.client().abandon(now),
                6 if phone.page.is_some() => drop(phone.commit()),
                7 if phone.page.as_ref().is_some_and(|page| !page.items.is_empty()) => drop(phone.reject(0)),
                8..=10 => {
                    if let Some(request) = asked.take() {
                        let from = request.keys.first().map_or(0, |(_, val)| *val);
                        val = val.max(from) + random.below(2);
                        let answers = [
                            Answer::of(1),
                            Answer::of(1).key(1, from + 1).item(1, from + 1, b"x"),
                            Answer::of(1).key(1, from + 1).item(1, from + 1, b"x").more(),
                            Answer::of(1).more(),
                            Answer::later(random.below(3) as u32 * 1_000),
                            Answer::status(3),
                            Answer::reset(1 + random.below(2) as u32),
                        ];
                        phone.reply(request.sequence, &answers[random.below(7) as usize]);
                    }
                }
                _ => {}
            }
            if phone.link.closing().is_some() {
                phone.cut();
                (online, asked) = (false, None);
            }
            phone.process();
            let frames = phone.frames();
            let requests: Vec<_> = frames.iter().filter(|frame| frame.command == SYNC).collect();
            assert!(requests.len() <= 1, "seed {seed}, step {step}: {requests:?}");
            if let Some(request) = requests.first() {
                let request = Asked::read(request.sequence, &request.body);
                let cursor = phone.cursor();
                assert_eq!((request.epoch, request.keys.clone()), cursor, "nothing but what is committed");
                asked = Some(request);
            }
            for frame in frames.iter().filter(|frame| frame.command == SYNC_DONE) {
                assert_eq!(acked(&frame.body), phone.cursor(), "nothing but what is committed");
            }
            if frames.iter().any(|frame| frame.command == HEARTBEAT) {
                phone.give(HEARTBEAT + REPLY, 0xFFFF_FFFF, &[]);
            }
        }
        // However it was, it comes right.
        if !online {
            phone.greet();
        }
        let now = phone.now;
        phone.client().abandon(now);
        phone.client().sync(now);
        phone.told.clear();
        let is_told = |phone: &Phone| phone.told.iter().any(|line| line == "caught up");
        for _ in 0..200 {
            if is_told(&phone) {
                break;
            }
            for frame in phone.until_written(4_000) {
                if frame.command == SYNC {
                    let epoch = Asked::read(frame.sequence, &frame.body).epoch.max(1);
                    phone.page = None;
                    phone.reply(frame.sequence, &Answer::of(epoch));
                    if phone.page.is_some() {
                        phone.commit().unwrap();
                    }
                }
            }
        }
        assert!(is_told(&phone), "seed {seed}");
    }
}

#[test]
fn a_notify_is_one_way_whatever_its_sequence() {
    let mut phone = quiet();
    phone.give(NOTIFY, 77, &heads(1, &[(1, 11)]));
    assert_eq!(phone.asked().keys, [(1, 10)]);
}
