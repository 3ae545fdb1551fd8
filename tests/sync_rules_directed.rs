//! Rules of sync that a run by chance seldom meets, each with the course of events that it is for: two devices, their
//! mailbox, and sessions between them.
//!
//! Letters are those of the cases that any synchronisation has to survive: B notifies, D ends of the device's process, E the
//! server, F several devices.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

#[path = "support/mail/mod.rs"]
mod mail;
mod support;

use longlink::sync::Epoch;
use mail::{Fate, Habits, Mail, Memory, Setup, Start};
use std::time::Duration;
use support::pipe::Weather;
use support::post::Cut;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// A network that takes a while, and a mailbox that can go back.
const SETUP: Setup =
    Setup { bytes: 0, weather: Weather { delay: Duration::from_millis(50), ..Weather::FINE }, ..Setup::FINE };

/// Both devices have everything that there is, and hear of what comes.
fn begin(memory: &mut Memory) -> Mail<'_> {
    let mut mail = Mail::new(memory);
    mail.run(5 * SECOND);
    assert!(mail.is_up_to_date(0) && mail.is_up_to_date(1));
    mail
}

fn write(mail: &mut Mail<'_>, key: u16, count: usize) {
    for _ in 0..count {
        mail.office.write(key, 0, 20, true);
    }
}

/// The ids of what a device has.
fn has(mail: &Mail<'_>, device: usize) -> Vec<u64> {
    mail.devices[device].app.disk.items.iter().copied().collect()
}

/// How many items a device was given, and how many of them again.
fn given(mail: &Mail<'_>, device: usize) -> (usize, usize) {
    let app = &mail.devices[device].app;
    (app.applied, app.repeated)
}

#[test]
fn b_what_moves_while_a_request_is_under_way_is_asked_for_at_once() {
    let mut memory = Memory::new(SETUP, 0);
    let mut mail = begin(&mut memory);
    // The request that the first item brings about is answered before the second comes, and the answer is still under way.
    write(&mut mail, 1, 1);
    mail.office.setup.late = 0;
    for _ in 0..40 {
        mail.run(Duration::from_millis(10));
        write(&mut mail, 1, 1);
    }
    // Far less than the time after which it would be asked without a notify.
    mail.run(5 * SECOND);
    assert!(mail.is_up_to_date(0) && mail.is_up_to_date(1));
    assert_eq!(given(&mail, 0), (41, 0));
}

#[test]
fn b_who_is_up_to_date_hears_no_more_notifies_although_the_last_ack_was_lost() {
    let mut memory = Memory::new(Setup { loses: 0, ..SETUP }, 0);
    let mut mail = begin(&mut memory);
    write(&mut mail, 1, 1);
    mail.office.setup.loses = 100;
    mail.run(10 * SECOND);
    let heard = mail.devices[0].traffic().notifies;
    mail.run(4 * MINUTE);
    assert_eq!(mail.devices[0].traffic().notifies, heard);
    assert!(mail.office.is_kept(Epoch::FIRST, 1));
    // The next request says the same.
    mail.run(2 * MINUTE);
    mail.office.check_released();
}

#[test]
fn b_two_notifies_of_different_epochs_leave_the_answer_that_is_owed_as_it_is() {
    let mut setup = SETUP;
    setup.devices[0] = Habits { hold: 60, ..Habits::FINE };
    let mut memory = Memory::new(setup, 0);
    let mut mail = begin(&mut memory);
    let now = mail.now;
    let mut asked = mail.devices[0].traffic().requests;
    mail.with_server(0, |_, _, server| {
        server.notify(now, Epoch::FIRST, 1, 5);
        server.notify(now, Epoch::new(2).unwrap(), 1, 1);
    });
    // The application would be told of an answer that makes no sense; it asks once, and waits again.
    mail.run(10 * SECOND);
    asked += 1;
    assert_eq!(mail.devices[0].traffic().requests, asked);
    assert!(mail.is_up_to_date(0));
}

#[test]
fn after_a_sleep_what_was_due_meanwhile_is_asked_for() {
    let mut memory = Memory::new(SETUP, 0);
    let mut mail = begin(&mut memory);
    let asked = mail.devices[0].traffic().requests;
    // Nobody has looked at the time since before the next poll.
    mail.now = mail.now + 10 * MINUTE;
    mail.settle();
    mail.run(SECOND);
    assert_eq!(mail.devices[0].traffic().requests, asked + 1);
    assert!(mail.is_up_to_date(0));
}

#[test]
fn items_that_cannot_be_applied_do_not_wait_for_one_another() {
    let mut setup = SETUP;
    setup.devices[0] = Habits { poison: true, ..Habits::FINE };
    let mut memory = Memory::new(setup, 0);
    let mut mail = begin(&mut memory);
    // Those that cannot are in a row.
    for id in 1..=40 {
        mail.office.write(if id % 11 == 3 { 1 } else { 300 }, 0, 20, true);
    }
    mail.run(MINUTE);
    assert!(mail.is_up_to_date(0));
    assert_eq!(mail.devices[0].app.disk.excused.iter().copied().collect::<Vec<_>>(), [3, 14, 25, 36], "as holes");
    assert_eq!(has(&mail, 0).len(), 36);
}

/// After each end, so many of five items come again.
#[test]
fn d_wherever_the_process_ends_nothing_is_lost_and_no_more_comes_again_than_was_behind_the_cursor() {
    let cases = [
        (Fate::BeforeApply, 0),
        (Fate::Between(3), 3),
        (Fate::BeforeCursor, 5),
        (Fate::BeforeCommit, 0),
        (Fate::AfterAck, 0),
        (Fate::WhileContinuing, 0),
        (Fate::CursorFails, 5),
        (Fate::StoreFails, 0),
        (Fate::RejectOnce(4), 4),
        (Fate::UpTo(2), 0),
        (Fate::Late(120_000), 0),
        (Fate::Twice, 0),
    ];
    for (fate, again) in cases {
        let mut memory = Memory::new(SETUP, 1);
        let mut mail = begin(&mut memory);
        mail.strike(0, fate);
        write(&mut mail, 1, 5);
        mail.run(4 * MINUTE);
        assert!(mail.is_up_to_date(0), "{fate:?}");
        assert_eq!(given(&mail, 0), (5 + again, again), "{fate:?}");
        assert_eq!(has(&mail, 0), [1, 2, 3, 4, 5]);
        mail.check();
        mail.office.check_released();
    }
}

#[test]
fn d6_that_there_is_more_is_not_forgotten_with_the_process() {
    let mut setup = SETUP;
    setup.devices[0] = Habits { max_items: 2, ..Habits::FINE };
    let mut memory = Memory::new(setup, 3);
    let mut mail = begin(&mut memory);
    write(&mut mail, 1, 9);
    for _ in 0..3 {
        mail.strike(0, Fate::WhileContinuing);
        mail.run(10 * SECOND);
    }
    assert!(mail.is_up_to_date(0));
    assert_eq!(given(&mail, 0), (9, 0));
}

#[test]
fn d8_a_store_that_went_back_gets_again_what_is_kept_and_is_told_of_the_rest() {
    let mut memory = Memory::new(SETUP, 1);
    let mut mail = begin(&mut memory);
    write(&mut mail, 1, 2);
    mail.run(10 * SECOND);
    mail.devices[0].back_up();
    write(&mut mail, 1, 3);
    mail.run(10 * SECOND);
    // These are gone everywhere but from the devices. The next is kept for the other one.
    mail.office.check_released();
    mail.leave(1, Cut::Reset, HOUR);
    write(&mut mail, 1, 1);
    mail.run(10 * SECOND);
    mail.restart(0, Start::Backup(0), Cut::Reset);
    mail.run(10 * SECOND);
    assert!(mail.is_up_to_date(0));
    assert_eq!(has(&mail, 0), [1, 2, 6]);
    assert_eq!(mail.devices[0].app.disk.excused.iter().copied().collect::<Vec<_>>(), [3, 4, 5], "as a gap");
    mail.check();
}

#[test]
fn e2_a_mailbox_that_went_back_is_taken_from_its_beginning_and_nothing_is_lost_that_it_has() {
    let mut memory = Memory::new(SETUP, 0);
    let mut mail = begin(&mut memory);
    mail.leave(1, Cut::Reset, MINUTE);
    write(&mut mail, 1, 3);
    mail.office.back_up();
    write(&mut mail, 1, 4);
    mail.run(10 * SECOND);
    assert_eq!(given(&mail, 0), (7, 0));
    mail.restart_server();
    mail.office.restore(0);
    // What comes has vals that the device has already, of the epoch before.
    write(&mut mail, 1, 4);
    mail.run(2 * MINUTE);
    assert!(mail.is_up_to_date(0) && mail.is_up_to_date(1));
    assert_eq!(has(&mail, 0), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    assert_eq!(has(&mail, 1), [1, 2, 3, 8, 9, 10, 11]);
}

#[test]
fn f2_a_device_that_is_never_heard_of_again_lets_go_and_is_told_of_the_gap_when_it_is() {
    for bytes in [0, 4_096] {
        let mut memory = Memory::new(Setup { bytes, ..SETUP }, 0);
        let mut mail = begin(&mut memory);
        mail.leave(1, Cut::Reset, 3 * HOUR);
        write(&mut mail, 1, 4);
        mail.run(HOUR);
        mail.office.expire(mail.now, 2 * HOUR);
        assert!(mail.office.is_kept(Epoch::FIRST, 1), "it was heard of an hour ago");
        mail.run(HOUR);
        mail.office.expire(mail.now, 2 * HOUR);
        assert!(!mail.office.is_kept(Epoch::FIRST, 1), "it was last heard of two hours ago");
        mail.run(2 * HOUR);
        assert!(mail.is_up_to_date(1));
        assert_eq!(mail.devices[1].app.disk.excused.len(), 4);
        assert_eq!(given(&mail, 1), (0, 0));
        // It counts again.
        mail.leave(1, Cut::Reset, MINUTE);
        write(&mut mail, 1, 1);
        mail.run(2 * MINUTE);
        assert_eq!(given(&mail, 1), (1, 0));
    }
}

#[test]
fn f3_what_one_device_has_not_stored_stays_however_far_the_other_is() {
    let mut setup = SETUP;
    setup.devices[1] = Habits { max_items: 3, ..Habits::FINE };
    let mut memory = Memory::new(setup, 0);
    let mut mail = begin(&mut memory);
    mail.strike(1, Fate::Late(HOUR.as_millis() as u64));
    write(&mut mail, 1, 9);
    mail.run(HOUR - MINUTE);
    assert_eq!((given(&mail, 0), given(&mail, 1)), ((9, 0), (3, 0)));
    assert_eq!(mail.office.shelf.len(), 9);
    mail.run(2 * MINUTE);
    assert_eq!(given(&mail, 1), (9, 0));
    assert_eq!(mail.office.shelf.len(), 0);
}

#[test]
fn f5_a_device_with_an_empty_store_gets_what_is_kept_and_hears_of_no_gap() {
    let mut memory = Memory::new(SETUP, 1);
    let mut mail = begin(&mut memory);
    write(&mut mail, 1, 2);
    mail.run(10 * SECOND);
    mail.leave(1, Cut::Reset, MINUTE);
    write(&mut mail, 1, 3);
    mail.run(10 * SECOND);
    mail.restart(0, Start::Empty, Cut::Reset);
    mail.run(10 * SECOND);
    assert!(mail.is_up_to_date(0));
    assert_eq!(has(&mail, 0), [3, 4, 5]);
}

#[test]
fn f5_what_a_device_said_before_it_lost_its_store_does_not_count() {
    let ring = Setup { bytes: 4_096, ..SETUP };
    let mut memory = Memory::new(ring, 1);
    let mut mail = begin(&mut memory);
    mail.leave(1, Cut::Reset, MINUTE);
    write(&mut mail, 1, 3);
    mail.run(10 * SECOND);
    // It is told where the mailbox begins, and the other device has everything before it goes on from there.
    mail.restart(0, Start::Empty, Cut::Reset);
    mail.strike(0, Fate::Late(2 * MINUTE.as_millis() as u64));
    mail.run(90 * SECOND);
    assert!(mail.is_up_to_date(1));
    mail.run(MINUTE);
    assert!(mail.is_up_to_date(0));
    assert_eq!(has(&mail, 0), [1, 2, 3]);
}

#[test]
fn f6_an_ack_of_an_epoch_that_is_over_frees_nothing() {
    let mut memory = Memory::new(SETUP, 0);
    let mut mail = begin(&mut memory);
    mail.office.back_up();
    write(&mut mail, 1, 2);
    mail.run(10 * SECOND);
    // Both devices have vals of the first epoch that the second one gives to other items.
    mail.restart_server();
    mail.office.restore(0);
    mail.cut(0, Cut::Reset);
    mail.cut(1, Cut::Reset);
    write(&mut mail, 1, 2);
    for ack in 0..10 {
        mail.office.repeat_ack(mail.now, ack);
    }
    mail.check_collected();
    assert_eq!(mail.office.shelf.len(), 2);
    mail.run(10 * SECOND);
    assert_eq!((has(&mail, 0), has(&mail, 1)), (vec![1, 2, 3, 4], vec![1, 2, 3, 4]));
}
