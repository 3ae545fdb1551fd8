//! Everything together, in virtual time: devices of several accounts, servers over one durable store, and all that can go
//! wrong between them and in them. One seed is one life of this world; the same seed is the same life, to the byte.
//!
//! | file | what is in it |
//! |---|---|
//! | [`plan`] | what a seed chooses before anything happens: accounts, devices, their memory and their habits |
//! | [`world`] | the clock, and who does something next |
//! | [`happen`] | what happens to this world, each with how often: the first file to read |
//! | [`calm`] | the end of a life: nothing goes wrong any more, and what must be true then |
//! | [`device`] | a device: its process, its disk, its clock, and what its end of a connection goes through |
//! | [`dial`] | what attempts to connect come to |
//! | [`app`] | the application of a device: messages, and what it is told |
//! | [`inbox`] | its mailbox: pages, parts of long items, the cursor |
//! | [`upload`] | its large payloads |
//! | [`ear`] | a client whose clock may stand still, with an ear on what it reads |
//! | [`wire`] | a connection: two pipes, a NAT, and why it may break |
//! | [`office`] | the servers' application: greetings, messages, sync |
//! | [`account`] | the durable store: mailboxes, and what really was put into them |
//! | [`tally`] | what is counted, and the lines of `--trace` |
//!
//! The parts are those of the models next door, each of which looks closer at one layer: pipes and links from
//! `support/post`, mailboxes from `support/mail`, the laws of dialing from `support/reach`.
//!
//! What must hold is asserted where it can break, in words. At any time: a message is stored once and in order, and none that
//! was told to be delivered is missing; a token ends once; a page has all that the mailbox keeps after the cursor, in order, or
//! tells of a gap; nothing goes from a mailbox that a device which counts lacks; the client's cursor moves by a commit alone;
//! no connection ends unless something was wrong with it; no deadline is due after it was handled, and time goes by; attempts
//! are few, and tables keep their size. After the calm: everybody is online, or dormant as was asked; all is settled, caught up
//! and quiet.
#![allow(dead_code, unreachable_pub, missing_debug_implementations)]

pub mod account;
pub mod app;
pub mod calm;
pub mod device;
pub mod dial;
pub mod ear;
pub mod happen;
pub mod inbox;
#[path = "../../support/nat.rs"]
pub mod nat;
pub mod office;
pub mod plan;
#[path = "../../support/reach/mod.rs"]
pub mod reach;
#[path = "../../support/mail/shelf.rs"]
pub mod shelf;
pub mod tally;
#[path = "../../support/transfer.rs"]
pub mod transfer;
pub mod upload;
pub mod wire;
pub mod world;

use crate::support::{frame, native};
pub use plan::Scale;
use plan::{Memory, Plan};
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
pub use tally::Tally;
use world::World;

/// A life that ended before its time.
#[derive(Debug)]
pub struct Broken {
    pub seed: u64,
    /// The rule that does not hold, in words.
    pub rule: String,
    /// Where it is checked.
    pub place: String,
}

/// Lives one life, and counts what happened in it.
pub fn run(seed: u64, scale: Scale) -> Result<Tally, Broken> {
    catch_words();
    tally::begin();
    IS_LIVING.set(true);
    let lived = panic::catch_unwind(AssertUnwindSafe(|| live(seed, scale)));
    IS_LIVING.set(false);
    match lived {
        Ok(()) => Ok(tally::end()),
        Err(_) => {
            let (rule, place) = WORDS.take();
            Err(Broken { seed, rule, place })
        }
    }
}

fn live(seed: u64, scale: Scale) {
    let mut memory = Memory::new(Plan::draw(seed, scale));
    let mut world = World::new(&mut memory);
    world.live();
    world.come_to_rest();
}

thread_local! {
    static IS_LIVING: Cell<bool> = const { Cell::new(false) };
    static WORDS: Cell<(String, String)> = const { Cell::new((String::new(), String::new())) };
}

/// A rule that breaks in a life is told by [`run`], not on the terminal.
fn catch_words() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_LIVING.get() {
                return usual(info);
            }
            let payload = info.payload();
            let words = payload.downcast_ref::<String>().cloned();
            let words = words.or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string));
            let place = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
            WORDS.set((words.unwrap_or_default(), place.unwrap_or_default()));
        }));
    });
}
