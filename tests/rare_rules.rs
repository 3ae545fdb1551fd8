//! Rules that break seldom: each was found by `cargo bench --bench soak`.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod support;

use longlink::delivery::Ledger;
use longlink::liveness::{HeartbeatPolicy, Network};
use longlink::session::{Client, Config, Disconnect, Endpoint, Event, GoAway, GoAwayCode, Link, Storage};
use longlink::sync;
use longlink::wire::Dialect;
use longlink::{Instant, earliest};
use std::time::Duration;
use support::native::{Gate, Greets, HEARTBEAT, HELLO, REPLY, VOLATILE, Welcome, frames_in};
use support::sync::Answer;
use support::{S, client, feed, frame, written};

const END: Instant = Instant::from_secs(12 * 3_600);

type Memory = Link<Client<'static>, &'static mut [u8]>;

/// A message that lingers calls for a timer; when it is gone a device that sleeps is not woken for it.
#[test]
fn a_lingering_message_that_is_taken_back_leaves_no_timer() {
    let mut link = client(Config { linger: Duration::from_millis(200), ..Config::DEFAULT });
    let token = link.endpoint_mut().send(S(1), b"hello").unwrap();
    link.endpoint_mut().cancel(S(1), token);
    link.process(S(1), |_, _| {});
    assert_eq!(link.poll_timeout(), None, "{:?}", link.endpoint().next_timer());
}

/// A link that closes too slowly is dead; what it had read and not handled is nothing for the application.
#[test]
fn a_sync_request_on_a_link_that_died_is_no_request_of_the_application() {
    let mut ledger = Ledger::new();
    let mut gate = Gate::greeted(&mut ledger, 1);
    let now = gate.now;
    gate.server().close(now, GoAway::new(GoAwayCode::Restart));
    gate.now = S(100);
    gate.server().handle_timeout(S(100));
    assert!(gate.link.closing().is_some());
    gate.feed(&mut ledger, &frame(&Dialect::LONGLINK, sync::SYNC, 1, &[1; 24]));
    assert_eq!(gate.told, [""; 0]);
}

/// The mailbox is asked every 300 s, and so no longer silence is ever tried.
#[test]
fn a_mailbox_that_is_asked_hides_nothing_from_the_heartbeat() {
    for forgets in [70, 100, 200, 250, 290, 300] {
        let lost = losses(sync::Config::DEFAULT, Duration::from_secs(forgets));
        assert!(lost.len() <= 3, "a network that forgets after {forgets} s: {} links lost in twelve hours", lost.len());
    }
}

/// The answer is held for longer than the network remembers the link, and so never comes.
#[test]
fn an_answer_that_is_held_too_long_for_the_network_teaches_how_long_that_is() {
    for forgets in [25, 40, 45, 60, 80] {
        let hold = Duration::from_secs(50);
        let lost = losses(sync::Config { hold, ..sync::Config::DEFAULT }, Duration::from_secs(forgets));
        assert!(lost.len() <= 4, "a network that forgets after {forgets} s: {} links lost in twelve hours", lost.len());
    }
}

/// When links are lost within twelve hours.
fn losses(sync: sync::Config<'static>, forgets: Duration) -> Vec<Instant> {
    let config = Config { sync: Some(sync), heartbeat: HeartbeatPolicy::Adaptive, ..VOLATILE };
    let storage: &mut Storage = Box::leak(Box::new(Storage::new()));
    let mut link = storage.client(Box::leak(Box::new(config))).unwrap();
    link.endpoint_mut().set_network(S(1), Some(Network::from_number(1)), None);
    let (mut now, mut lost) = (S(1), Vec::new());
    while now < END {
        now = live(&mut link, now, forgets);
        lost.extend(Some(now).filter(|at| *at < END));
        now = now + Duration::from_secs(1);
    }
    lost
}

/// One link, until it is lost or the day is over, to a server that answers at once but for sync, where it waits for as long as
/// it is allowed to.
fn live(link: &mut Memory, start: Instant, forgets: Duration) -> Instant {
    let (mut now, mut last, mut is_dead, mut held) = (start, start, false, None::<(Instant, u32)>);
    link.handle_connected(now);
    loop {
        link.process(now, |_, _| {});
        if let Some(why) = link.over().or(link.closing()) {
            link.handle_disconnected(now, why);
            return now;
        }
        let bytes = written(link, now);
        let answer = held.take_if(|(at, _)| *at <= now);
        is_dead |= (!bytes.is_empty() || answer.is_some()) && now - last >= forgets;
        if let Some((_, sequence)) = answer.filter(|_| !is_dead) {
            last = now;
            feed(
                link,
                now,
                &frame(&Dialect::LONGLINK, sync::SYNC + REPLY, sequence, &Answer::of(1).body()),
                commit(now),
            );
        }
        if bytes.is_empty() || is_dead {
            let at = earliest([link.poll_timeout(), held.map(|(at, _)| at)]);
            let Some(at) = at.filter(|at| *at < END) else {
                link.handle_disconnected(now, Disconnect::Transport);
                return END;
            };
            now = at;
            continue;
        }
        last = now;
        for one in frames_in(&Dialect::LONGLINK, &bytes) {
            let body = match one.command {
                HELLO => Welcome::having(1, Greets::of(&one.body).link, &[]).body(),
                HEARTBEAT => Vec::new(),
                sync::SYNC => {
                    let hold = u16::from_be_bytes([one.body[10], one.body[11]]);
                    held = Some((now + Duration::from_secs(hold.into()), one.sequence));
                    continue;
                }
                _ => continue,
            };
            feed(link, now, &frame(&Dialect::LONGLINK, one.command + REPLY, one.sequence, &body), |_, _| {});
        }
    }
}

/// The application stores each page at once.
fn commit(now: Instant) -> impl FnMut(&mut Client<'static>, Event<'_>) {
    move |client, event| {
        if let Event::Page(page) = event {
            client.commit(now, &page.receipt()).unwrap();
        }
    }
}
