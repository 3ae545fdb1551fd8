mod device;
mod office;

use super::input::Input;
use crate::Instant;
use crate::sync::{Client, Config, Epoch, Memory, RingMailbox, RingStorage, Row, Wanted};
use core::time::Duration;
use device::{Device, Store};
use office::Office;

/// The longest body that is received.
const LONGEST: usize = 600;
/// The most keys that a device has room for.
const KEYS: usize = 8;

/// Target `sync_ops`: a client of sync and a mailbox in a ring, whose applications, peers, links and clocks do whatever the
/// bytes say.
///
/// The input starts with two bytes: what the client is like (see `Setup`) and how large the mailbox is. Then comes one thing
/// after the other: a byte whose low 5 bits say what happens (see `live` and `happen`) and whose high ones say which, and what
/// it needs.
///
/// In the end nothing goes wrong any more, and the device has what the mailbox has.
pub fn sync_ops(data: &[u8]) {
    let mut input = Input(data);
    let [bits, size] = [(); 2].map(|()| input.number());
    match size % 3 {
        0 => run(bits, RingStorage::<4, 64, 2, 1>::new().mailbox(Epoch::FIRST), &mut input),
        1 => run(bits, RingStorage::<16, 256, 8, 2>::new().mailbox(Epoch::FIRST), &mut input),
        _ => run(bits, RingStorage::<64, 2_048, 12, 4>::new().mailbox(Epoch::FIRST), &mut input),
    }
}

fn run(bits: u8, mailbox: RingMailbox<'_>, input: &mut Input<'_>) {
    let config = config(bits);
    let (mut few, mut many) = (Memory::<[Row; 2]>::new(), Memory::<[Row; KEYS]>::new());
    let memory: &mut Memory = if bits & 4 == 0 { &mut few } else { &mut many };
    let mut office = Office::new(mailbox);
    let mut store = Store::default();
    let mut now = Instant::ZERO;
    loop {
        let client = Client::new(&config, memory, 42, LONGEST).unwrap();
        let mut device = Device::new(client, &config, &mut store);
        // The memory of the process before may hold its cursor, which is the newest then, or one that is stored.
        if let Some(which) = live(&mut device, &mut office, &mut now, input) {
            store.restart(which, input);
        } else {
            device.finish(now, &mut office);
            return;
        }
    }
}

/// What the client is like. Bits 0 and 1: all keys, or those of a list; 2: room for 2 keys or 8; 3: answers are held; 4 and
/// 5: how many items a page has; 6: it pauses after each page; 7: short pages.
fn config(bits: u8) -> Config<'static> {
    let keys = match bits & 3 {
        0 | 1 => Wanted::All,
        2 => Wanted::Listed(&[1, 2]),
        _ => Wanted::Listed(&[3]),
    };
    Config {
        keys,
        max_items: [1, 2, 100, 512][usize::from(bits >> 4 & 3)],
        max_bytes: (bits >> 7 == 1).then_some(256),
        hold: Duration::from_secs(if bits & 8 == 0 { 0 } else { 60 }),
        rounds: if bits & 64 == 0 { 20 } else { 1 },
        ..Config::DEFAULT
    }
}

/// A process of the device, to its end: `Some` if another begins.
fn live(device: &mut Device<'_, '_>, office: &mut Office<'_>, now: &mut Instant, input: &mut Input<'_>) -> Option<u8> {
    while let Some(byte) = input.byte() {
        let which = byte >> 5;
        match byte & 31 {
            0 => *now = *now + Duration::from_millis(1 << (input.number() % 24)),
            1 => *now = *now + Duration::from_millis(which.into()),
            2 => {
                *now = device.poll_timeout().map_or(*now, |due| due.max(*now));
                device.handle_timeout(*now, None);
            }
            3 => {
                let heard = (which > 0).then(|| Instant::from_micros(now.as_micros() >> which));
                device.handle_timeout(*now, heard);
            }
            4 => return Some(which),
            op @ 5..20 => device.happen(op, which, *now, office, input),
            op => office.happen(op, which, *now, input),
        }
        device.check();
        office.check();
    }
    None
}
