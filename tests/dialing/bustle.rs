//! Everything at random: networks, sites, sleep, and an application that does whatever it can.

use crate::support::Random;
use crate::support::dialing::{Air, DIALING, Site, Told, World, addresses, dialing_in, home, secs};
use longlink::liveness::{Activity, Network};
use longlink::session::{Config, GoAway, GoAwayCode};
use longlink::wire::Dialect;

const SITES: [Site; 8] =
    [Site::Dead, Site::Refusing, Site::Unreachable, Site::Foreign, Site::Alive, Site::Mute, Site::Deaf, Site::Brief];

struct Life {
    world: World,
    random: Random,
    sent: Vec<String>,
}

impl Life {
    fn new(config: Config<'static>, seed: u64) -> Self {
        let mut world = World::new(config);
        world.open(&addresses(5));
        Self { world, random: Random(seed), sent: Vec::new() }
    }

    fn act(&mut self) {
        let pick = self.random.below(20);
        let (world, random) = (&mut self.world, &mut self.random);
        match pick {
            0..5 => {
                let site = SITES[random.below(8) as usize];
                world.place_at(addresses(5)[random.below(5) as usize], site, random.below(3_000));
            }
            5 => world.set_air([Air::Clear, Air::Lost, Air::Off][random.below(3) as usize]),
            6 => {
                let network = [None, Some(home()), Some(Network::named(b"lte")), Some(Network::UNKNOWN)];
                let network = network[random.below(4) as usize];
                world.command(|client, now| client.set_network(now, network, None));
            }
            7 => world.command(|client, now| client.set_activity(now, Activity::Background)),
            8 => world.command(|client, now| client.set_activity(now, Activity::Foreground)),
            9 => world.command(|client, now| client.wake(now)),
            10 => world.command(|client, now| client.connect_now(now)),
            11 => world.command(|client, now| client.close(now)),
            12 => world.command(|client, now| client.open(now, 1)),
            13 => {
                let list = &addresses(5)[random.below(5) as usize..];
                world.command(|client, now| client.set_addresses(now, list).unwrap());
            }
            14 => world.sleep(secs(random.below(2_000))),
            15 => world.connect_by_hand(),
            16 => {
                let code = [GoAwayCode::Restart, GoAwayCode::Replaced, GoAwayCode::Blocked, GoAwayCode::Moved];
                let goaway = GoAway::new(code[random.below(4) as usize]).with_retry_after(secs(random.below(100)));
                if world.wire.as_ref().is_some_and(|wire| wire.server.is_some()) {
                    world.serve(|server, now| server.close(now, goaway));
                }
            }
            17 if world.office.borrow().stalls => world.decide_again(),
            17 => world.office.borrow_mut().stalls = true,
            _ => {
                let body = format!("message {}", self.sent.len());
                if world.link.endpoint().unsettled() < 16 {
                    world.send_for(secs(1 << 30), body.as_bytes());
                    self.sent.push(body);
                }
            }
        }
        let pause = [1, 50, 1_000, 20_000, 200_000][self.random.below(5) as usize];
        let pause = self.random.below(pause);
        self.world.run_for(std::time::Duration::from_millis(pause));
    }

    /// Whatever was before: now all is well, and somebody looks.
    fn recover(&mut self) {
        let world = &mut self.world;
        addresses(5).into_iter().for_each(|address| world.place(address, Site::Alive));
        world.set_air(Air::Clear);
        world.decide_again();
        world.command(|client, now| client.set_addresses(now, &addresses(5)).unwrap());
        world.command(|client, now| client.set_network(now, Some(Network::named(b"good")), None));
        world.command(|client, now| client.set_activity(now, Activity::Foreground));
        world.command(|client, now| client.open(now, 1));
        world.run(60);
        world.command(|client, now| client.connect_now(now));
        world.run_online(secs(125));
        world.run(100);
    }
}

/// The world itself checks that no deadline is overdue, that attempts are told before they are abandoned, that no address is
/// tried twice at a time, and that there is one link at a time.
#[test]
fn whatever_happens_the_device_is_online_soon_after_all_is_well_and_every_message_is_stored_once() {
    let configs = [DIALING, dialing_in(&Dialect::MARS), dialing_in(&Dialect::GOIM)];
    for (seed, config) in (0..90).zip(configs.into_iter().cycle()) {
        let mut life = Life::new(config, seed);
        for _ in 0..150 {
            life.act();
        }
        life.recover();
        assert!(life.world.link.endpoint().is_online(), "seed {seed}: {:?}", life.world.history.last());
        assert!(life.world.most_out <= 3);
        if config.identity.is_some() {
            let mut bodies = life.world.office.borrow().service.bodies();
            bodies.sort();
            life.sent.sort();
            assert_eq!(bodies, life.sent, "seed {seed}");
            let delivered = life.world.count(|told| matches!(told, Told::Delivered(_)));
            assert_eq!(delivered, life.sent.len(), "seed {seed}");
        }
    }
}

#[test]
fn whatever_happens_an_hour_costs_a_bounded_number_of_attempts() {
    for seed in 0..20 {
        let mut life = Life::new(DIALING, seed);
        let start = life.world.now;
        let mut calls = 0;
        while life.world.now < start + secs(3_600) {
            life.act();
            calls += 1;
        }
        // Three at once a minute, the wait's own, and what the user insists on; five addresses a round.
        let (tries, hours) = (life.world.tries_since(start).len(), (life.world.now - start).as_secs() / 3_600 + 1);
        assert!(tries <= hours as usize * 60 * 5 * 5, "seed {seed}: {tries} in {hours} h after {calls} calls");
    }
}
