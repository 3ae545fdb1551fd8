//! A payload arrives whatever becomes of its chunks, their replies, the link and either side.
#![allow(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

#[path = "support/transfer.rs"]
mod support;

use longlink::delivery::transfer::{State, UploadError};
use proptest::prelude::*;
use std::time::Duration;
use support::{World, open, payload};

/// What happens next, to which of the requests under way.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Poll,
    Deliver(usize),
    Reply(usize),
    /// A reply, of which a copy may follow.
    FirstReply(usize),
    Lose(usize),
    Late(usize),
    PutBack,
    Disconnect,
    RestartServer(bool),
    Evict,
    RestartClient,
    Wait,
}

fn fault() -> impl Strategy<Value = Fault> {
    let at = 0_usize..16;
    prop_oneof![
        20 => Just(Fault::Poll),
        20 => at.clone().prop_map(Fault::Deliver),
        20 => at.clone().prop_map(Fault::Reply),
        3 => at.clone().prop_map(Fault::FirstReply),
        5 => at.clone().prop_map(Fault::Lose),
        3 => at.prop_map(Fault::Late),
        2 => Just(Fault::PutBack),
        2 => Just(Fault::Disconnect),
        1 => any::<bool>().prop_map(Fault::RestartServer),
        1 => Just(Fault::Evict),
        1 => Just(Fault::RestartClient),
        3 => Just(Fault::Wait),
    ]
}

impl World {
    fn suffer(&mut self, fault: Fault) {
        let flying = self.under_way.len();
        match fault {
            Fault::Poll => drop(self.poll()),
            Fault::Deliver(at) if flying > 0 => self.deliver(at % flying),
            Fault::FirstReply(at) if flying > 0 => self.reply(at % flying),
            Fault::Reply(at) if flying > 0 && !self.under_way[at % flying].replies.is_empty() => {
                self.reply(at % flying);
                self.under_way.swap_remove(at % flying);
            }
            Fault::Lose(at) if flying > 0 => self.lose(at % flying),
            Fault::Late(at) if !self.late.is_empty() => {
                drop(self.server.take(&self.late[at % self.late.len()]));
            }
            Fault::PutBack => {
                if let Some(step) = self.upload.poll_step() {
                    self.upload.put_back(step);
                }
            }
            Fault::Disconnect => self.disconnect(),
            Fault::RestartServer(has_snapshots) => {
                self.server.restart(has_snapshots);
                self.disconnect();
            }
            Fault::Evict => self.server.evict(),
            Fault::RestartClient => self.restart_client(),
            Fault::Wait => {
                self.now = self.now + Duration::from_secs(1);
                self.upload.handle_timeout(self.now);
                assert!(self.upload.poll_timeout().is_none_or(|until| until > self.now));
            }
            _ => {}
        }
        let progress = self.upload.progress();
        assert!(progress.acknowledged <= progress.total);
        if let State::Failed(why) = self.upload.state() {
            assert!(matches!(why, UploadError::NoAnswer { .. } | UploadError::NoProgress { .. }), "{why}");
            self.restart_client();
        }
    }
}

proptest! {
    #[test]
    fn the_payload_arrives_exactly_whatever_is_lost_repeated_reordered_or_restarted(
        length in 0_usize..12_000,
        (listed, places) in (1_usize..6, 1_usize..10),
        faults in proptest::collection::vec(fault(), 0..400),
    ) {
        let payload = payload(length);
        let mut world = World::new(open(1, &payload), payload, listed, places);
        for fault in faults {
            world.suffer(fault);
        }
        if matches!(world.run(), State::Failed(_)) {
            world.restart_client();
            world.run();
        }
        world.arrived();
    }
}
