//! The heartbeat of a client that dials, with a real server behind: what keeps a link, and what is learned of a network.

use crate::support::dialing::{DIALING, Site, Told, World, addresses, dialing_in, home, in_background, secs};
use crate::support::native::frames_in;
use crate::support::pipe::{Read, Weather};
use longlink::Instant;
use longlink::liveness::{Network, NetworkRecord};
use longlink::session::{Config, Disconnect, GoAway, GoAwayCode, Timer};
use longlink::wire::Dialect;
use std::time::Duration;

const HOUR: u64 = 3_600;

fn is_offline(told: &Told) -> bool {
    matches!(told, Told::Offline(_))
}

/// In the background for good, online, in a network of this name.
fn at_home(config: Config<'static>, nat: Option<Duration>, record: Option<NetworkRecord>) -> World {
    at_home_with(config, nat, record, 0x5EED)
}

fn at_home_with(config: Config<'static>, nat: Option<Duration>, record: Option<NetworkRecord>, seed: u64) -> World {
    let mut world = World::new(config);
    world.nat = nat;
    let list = addresses(2);
    list.iter().for_each(|address| world.place(*address, Site::Alive));
    world.command(|client, now| client.set_network(now, Some(home()), record.as_ref()));
    world.open_with(&list, seed);
    world.run_online(secs(3));
    world
}

const PATIENT: Config<'static> = in_background(None);

fn learned(world: &World) -> Vec<NetworkRecord> {
    let records = world.history.iter().filter_map(|(_, told)| match told {
        Told::Learned(record) => Some(*record),
        _ => None,
    });
    records.collect()
}

/// Just online: how long until the first heartbeat.
fn interval(world: &World) -> Duration {
    assert_eq!(world.timer(), Some(Timer::Heartbeat));
    world.wait()
}

/// The server pushes something.
fn push(world: &mut World) {
    if world.wire.is_some() && world.link.endpoint().is_online() {
        world.serve(|server, now| server.push(now, 122, b"news").unwrap());
    }
}

#[test]
fn a_network_is_learned_to_its_limit_and_what_was_learned_is_told() {
    let mut world = at_home(PATIENT, Some(secs(240)), None);
    world.run(3 * HOUR);
    let last = *learned(&world).last().unwrap();
    assert!(last.is_settled() && last.network() == home());
    assert!((secs(215)..secs(240)).contains(&last.interval()), "{:?}", last.interval());
    assert!(world.count(is_offline) <= 3, "{} links lost", world.count(is_offline));
    let (start, lost) = (world.now, world.count(is_offline));
    world.run(20 * HOUR);
    assert_eq!(world.count(is_offline), lost);
    let beats = world.count_since(start, |told| *told == Told::Heartbeat);
    assert!((300..=340).contains(&beats), "{beats} in 20 hours");
}

/// A trial there ends before a link counts as one that lasted. If the next were to wait for long after it, nothing would be
/// learned.
#[test]
fn a_network_that_forgets_within_half_a_minute_is_learned_as_well() {
    for (lifetime, seed) in (18..30).flat_map(|lifetime| (0..10).map(move |seed| (lifetime, seed))) {
        let mut world = at_home_with(PATIENT, Some(secs(lifetime)), None, seed);
        // What is tried next is tried on a new link.
        for _ in 0..3 {
            world.run_for(secs(4 * lifetime));
            if world.wire.is_some() {
                world.serve(|server, now| server.close(now, GoAway::new(GoAwayCode::Restart)));
            }
        }
        world.run(1_000);
        let last = *learned(&world).last().unwrap();
        assert!(last.is_settled() && last.interval() < secs(lifetime), "{lifetime} s, {seed}: {:?}", last.interval());
        let lost = world.count(is_offline);
        world.run(4 * HOUR);
        assert_eq!(world.count(is_offline), lost, "{lifetime} s, {seed}");
    }
}

#[test]
fn with_what_was_stored_the_first_link_starts_where_the_search_ended() {
    let mut world = at_home(PATIENT, Some(secs(240)), None);
    world.run(3 * HOUR);
    let stored = learned(&world).last().unwrap().to_bytes();
    let record = NetworkRecord::from_bytes(&stored).unwrap();
    let mut world = at_home(PATIENT, Some(secs(240)), Some(record));
    assert_eq!(interval(&world), record.interval());
    world.run(20 * HOUR);
    assert_eq!(world.count(is_offline), 0);
}

#[test]
fn what_was_stored_of_another_network_is_not_used() {
    let mut world = at_home(PATIENT, None, None);
    world.run(3 * HOUR);
    let record = *learned(&world).last().unwrap();
    assert_eq!(record.interval(), secs(580));
    let mut world = World::new(PATIENT);
    let elsewhere = Network::named(b"elsewhere");
    world.command(|client, now| client.set_network(now, Some(elsewhere), Some(&record)));
    world.place(addresses(1)[0], Site::Alive);
    world.open(&addresses(1));
    world.run_online(secs(1));
    assert_eq!(interval(&world), secs(30));
}

/// Up to a minute of silence is kept, so the second heartbeat fails; then `outage` seconds without any link.
fn failed(outage: u64, elsewhere: bool) -> World {
    let mut world = at_home(PATIENT, Some(secs(50)), None);
    while world.count(is_offline) == 0 {
        world.step(Instant::MAX);
    }
    assert!(world.was_told(&Told::Offline(Disconnect::HeartbeatLost)));
    let start = world.now;
    addresses(2).into_iter().for_each(|address| world.place(address, Site::Unreachable));
    world.nat = None;
    world.run(outage);
    addresses(2).into_iter().for_each(|address| world.place(address, Site::Alive));
    if elsewhere {
        world.command(|client, now| client.set_network(now, Some(Network::named(b"lte")), None));
    }
    world.command(|client, now| client.connect_now(now));
    world.run_online(secs(1));
    assert!(world.now - start < secs(outage + 2));
    world
}

#[test]
fn a_failure_counts_if_the_network_is_there_again_within_a_minute() {
    let world = failed(50, false);
    // 30 s passed, 60 s failed: 8 % more than what is proven.
    let interval = interval(&world);
    assert!((secs(31)..secs(35)).contains(&interval), "{interval:?}");
}

#[test]
fn a_failure_of_a_network_that_was_gone_for_more_than_a_minute_does_not_count() {
    let world = failed(62, false);
    let interval = interval(&world);
    assert!((secs(58)..=secs(62)).contains(&interval), "{interval:?}");
}

#[test]
fn a_failure_before_the_device_went_to_another_network_does_not_count_in_any() {
    let mut world = failed(10, true);
    assert_eq!(interval(&world), secs(30), "nothing is known here");
    assert!(learned(&world).iter().all(|record| record.network() == home() && record.proven() >= secs(30)));
    let start = world.now;
    world.run(40);
    let here = world.history.iter().filter(|(at, told)| *at > start && matches!(told, Told::Learned(_)));
    assert_eq!(here.count(), 1, "the first heartbeat in it passed");
}

#[test]
fn somebody_who_looks_is_kept_up_to_date_by_a_heartbeat_every_thirty_seconds() {
    let mut world = at_home(DIALING, None, None);
    world.run(2 * HOUR);
    let beats = world.count(|told| *told == Told::Heartbeat);
    assert!((238..=242).contains(&beats), "{beats}");
    assert!(learned(&world).iter().all(|record| record.proven() <= secs(31)));
}

#[test]
fn pushes_that_keep_a_network_awake_prove_nothing_of_its_limit() {
    let mut world = at_home(PATIENT, Some(secs(120)), None);
    for _ in 0..24 * 60 {
        world.run(60);
        push(&mut world);
    }
    let day = world.now;
    world.run(24 * HOUR);
    assert!(learned(&world).iter().all(|record| record.proven() <= secs(120)), "{:?}", learned(&world));
    let lost = world.count_since(day, is_offline);
    assert!(lost <= 4, "{lost} links lost in the silent day");
    assert!(world.link.endpoint().is_online());
}

#[test]
fn a_server_that_names_its_idle_time_out_is_heard_from_in_time() {
    let mut world = World::new(PATIENT);
    world.server_config.idle = secs(60);
    world.place(addresses(1)[0], Site::Alive);
    world.open(&addresses(1));
    world.run(24 * HOUR);
    assert_eq!(world.count(is_offline), 0);
    let beats = world.count(|told| *told == Told::Heartbeat);
    assert!((1_920..=2_900).contains(&beats), "{beats}: every 30 to 45 s");
}

#[test]
fn pushes_do_not_stand_in_for_what_the_server_wants_to_hear() {
    let mut world = World::new(PATIENT);
    world.server_config.idle = secs(60);
    world.place(addresses(1)[0], Site::Alive);
    world.open(&addresses(1));
    world.run_online(secs(3));
    for _ in 0..HOUR / 10 {
        world.run(10);
        push(&mut world);
    }
    assert_eq!(world.count(is_offline), 0);
}

/// Without a greeting nobody tells the client that the server is impatient.
#[test]
fn a_server_that_ends_silent_links_is_not_taken_for_a_network_that_forgets_them() {
    let mut world = World::new(Config { dialer: PATIENT.dialer, ..dialing_in(&Dialect::MARS) });
    world.server_config.idle = secs(59);
    let list = addresses(1);
    world.place(list[0], Site::Alive);
    world.command(|client, now| client.set_network(now, Some(home()), None));
    world.open(&list);
    world.run(3 * HOUR);
    assert!(world.count(|told| *told == Told::Offline(Disconnect::PeerClosed)) > 10);
    assert!(learned(&world).iter().all(|record| !record.is_settled() && record.interval() >= secs(59)));
}

#[test]
fn messages_that_are_not_answered_do_not_end_a_link_whose_heartbeat_is() {
    let mut world = at_home(PATIENT, None, None);
    world.office.borrow_mut().stalls = true;
    for n in 0..5 {
        world.send_for(secs(24 * HOUR), &[n]);
    }
    world.run(600);
    assert_eq!(world.count(is_offline), 0);
    let asked = world.count(|told| *told == Told::Heartbeat);
    assert!(asked >= 5, "three time-outs in a row ask: {asked}");
    let ids = world.office.borrow().undecided.clone();
    world.serve(|server, now| ids.iter().for_each(|id| server.accept(now, id).unwrap()));
    world.run(70);
    assert_eq!(world.count(|told| matches!(told, Told::Delivered(_))), 5);
}

#[test]
fn three_messages_without_an_answer_ask_for_life_at_once_and_find_a_dead_link() {
    let mut world = at_home(PATIENT, None, None);
    world.run(300);
    world.wire.as_mut().unwrap().swallow();
    let start = world.now;
    for n in 0..3 {
        world.send_for(secs(24 * HOUR), &[n]);
    }
    world.run(60);
    let noticed = world.last(|told| *told == Told::Offline(Disconnect::HeartbeatLost)).unwrap() - start;
    assert!(noticed <= secs(30), "{noticed:?}, long before the heartbeat is due");
    world.run_online(secs(10));
    world.run(1);
    assert_eq!(world.count(|told| matches!(told, Told::Delivered(_))), 3);
}

/// Ten characters a second would be too slow to be of use; this is about as slow as it gets.
#[test]
fn a_link_over_which_bytes_crawl_is_never_closed() {
    let mut world = World::new(PATIENT);
    let crawl = Weather { largest_write: 11, largest_read: 1, delay: secs(1), capacity: 300, rate: 200 };
    world.weather = crawl;
    world.place(addresses(1)[0], Site::Alive);
    world.open(&addresses(1));
    world.run_online(secs(20));
    for n in 0..400_u32 {
        let _ = world.send(&[n as u8; 200]);
        let news = [0; 300];
        // It may not take any more just now.
        world.serve(|server, now| server.push(now, 122, &news).unwrap_or_default());
        world.run(3);
    }
    assert_eq!(world.count(is_offline), 0, "{:?}", world.history.last());
    assert!(world.count(|told| matches!(told, Told::Delivered(_))) > 100);
}

#[test]
fn a_heartbeat_behind_a_long_push_on_a_thin_link_is_waited_for() {
    let mut world = World::new(DIALING);
    world.weather = Weather { rate: 60, capacity: 2_000, ..Weather::FINE };
    world.place(addresses(1)[0], Site::Alive);
    world.open(&addresses(1));
    world.run_online(secs(20));
    for _ in 0..20 {
        world.serve(|server, now| server.push(now, 122, &[0; 1_500]).unwrap());
        world.run(61);
    }
    assert_eq!(world.count(is_offline), 0);
    assert!(world.count(|told| matches!(told, Told::Other(push) if push.starts_with("Push"))) >= 19);
}

/// A peer that sends heartbeats, and answers each of ours and each answer.
#[test]
fn two_that_are_happy_to_send_heartbeats_do_not_ring_for_ever() {
    let mut world = at_home(Config { dialer: PATIENT.dialer, ..dialing_in(&Dialect::MARS) }, None, None);
    let (beat, mut ours) = (crate::support::frame(&Dialect::MARS, 6, 0xFFFF_FFFF, b""), 0);
    world.wire.as_mut().unwrap().server = None;
    for step in 0..12_000 {
        let (now, wire) = (world.now, world.wire.as_mut().unwrap());
        let mut space = [0; 4_096];
        if let Read::Bytes(n) = wire.up.read(now, &mut space) {
            let frames = frames_in(&Dialect::MARS, &space[..n]).len();
            ours += frames;
            wire.down.write(now, &beat.repeat(frames));
        }
        if step % 100 == 0 {
            wire.down.write(now, &beat);
        }
        world.run_for(Duration::from_millis(10));
    }
    assert!(ours <= 4, "{ours} frames in two minutes");
    assert_eq!(world.count(is_offline), 0);
}

#[test]
fn signals_keep_the_radio_awake_for_twenty_seconds() {
    let mut world = at_home(PATIENT, None, None);
    world.run(HOUR);
    let start = world.now;
    world.command(|client, now| client.signal(now));
    world.run(60);
    let beats = world.count_since(start, |told| *told == Told::Heartbeat);
    assert!((3..=5).contains(&beats), "{beats}");
}

#[test]
fn the_same_network_again_is_asked_and_must_answer_within_five_seconds() {
    let mut world = at_home(PATIENT, None, None);
    world.run(HOUR);
    world.wire.as_mut().unwrap().swallow();
    let start = world.now;
    world.command(|client, now| client.set_network(now, Some(home()), None));
    assert_eq!((world.timer(), world.wait()), (Some(Timer::Answer), secs(5)));
    world.run(12);
    assert_eq!(world.last(is_offline), Some(start + secs(5)));
    assert!(world.link.endpoint().is_online(), "the next within five seconds: others have not noticed");
}
