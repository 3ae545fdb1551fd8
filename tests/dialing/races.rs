//! Who lost a race to an address that then does not greet is still one to be tried.

use crate::support::dialing::{DIALING, Site, World, addresses, dialing_in, secs};
use longlink::wire::Dialect;

/// A connection takes more than a second, as over 2G: the second address is out when the first wins, and that is mute.
#[test]
fn an_address_that_lost_the_race_to_a_mute_one_has_its_turn() {
    for dialect in [&Dialect::GOIM, &Dialect::BILIBILI] {
        let mut world = World::new(dialing_in(dialect));
        let list = addresses(2);
        world.place_at(list[0], Site::Deaf, 1_200);
        world.place_at(list[1], Site::Alive, 1_200);
        world.open(&list);
        world.run(3_600);
        assert_eq!(
            world.place_of_link(),
            Some(1),
            "{}: {} attempts",
            dialect.name,
            world.tries_since(crate::support::S(0)).len()
        );
    }
}

/// The one that works needs 2.5 s, the other 0.1 s, and does not greet.
#[test]
fn a_slow_address_that_works_beats_a_fast_one_that_does_not_greet() {
    for config in [DIALING, dialing_in(&Dialect::GOIM)] {
        let mut world = World::new(config);
        let list = addresses(2);
        world.place_at(list[0], Site::Alive, 2_500);
        world.place_at(list[1], Site::Mute, 100);
        world.open(&list);
        world.run(3_600);
        assert_eq!(world.place_of_link(), Some(0), "{}", config.dialect.name);
    }
}

/// The same with what is known at once: the round goes on with who was given up for the winner.
#[test]
fn the_round_goes_on_with_who_was_given_up_for_the_winner() {
    let mut world = World::new(dialing_in(&Dialect::GOIM));
    let list = addresses(2);
    world.place_at(list[0], Site::Deaf, 1_200);
    world.place_at(list[1], Site::Alive, 1_200);
    world.open(&list);
    assert!(world.run_online(secs(3_600)) < secs(7), "three seconds for its greeting, and the other's turn");
}
