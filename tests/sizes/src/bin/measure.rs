//! How deep the stack of a client gets, and how many instructions a message takes, on a Cortex-M4.
//!
//! Run by QEMU with `-icount shift=10`, where an instruction takes 1,024 ns of the 25 MHz clock, and the processor's timer
//! counts 25.6 for each. Prints `name figure` lines. The peer is a server of the library in the same image; what it takes is
//! not counted.
#![no_std]
#![no_main]

use core::panic::PanicInfo;
use core::ptr::{addr_of_mut, read_volatile, write_volatile};
use longlink::Instant;
use longlink::delivery::Ledger;
use longlink::session::{
    Client, Config, ConfigError, Dialer, DialerConfig, Link, Server, ServerConfig, ServerEvent, Storage,
};
use longlink::sync::{self, Epoch, RingMailbox, RingStorage};
use longlink::wire::{Decoder, Dialect};
use semihosting::{println, process};
use sizes::app::{self, Board, ClientLink, Memory};

// As the README says it.
const _: () = assert!(size_of::<Storage<256, 256, 4, 0, 0>>() == 1_184);
const _: () = assert!(size_of::<Storage>() == 3_264);
const _: () = assert!(size_of::<Storage<8_192, 16_384, 64, 16, 8>>() == 29_248);
const _: () = assert!(size_of::<ClientLink>() == 552);

static mut MEMORY: Memory = Memory::new();
static mut ITEMS: RingStorage<16, 1_024, 2, 2> = RingStorage::new();

#[cortex_m_rt::entry]
fn main() -> ! {
    start_timer();
    // SAFETY: lent here, once.
    let (memory, items) = unsafe { (&mut *addr_of_mut!(MEMORY), &mut *addr_of_mut!(ITEMS)) };
    let mut mailbox = items.mailbox(Epoch::FIRST);
    let mut world = World { now: 1_000, ..World::default() };
    let Ok(mut link) = app::begin(memory, world.now()) else { fail("the configuration") };
    refuse_what_is_not_built();
    let mut ledger = Ledger::new();
    let mut depth = 0;
    for connection in 0..3 {
        let _ = mailbox.append(1, 0, b"an item of the mailbox");
        let (mut receive, mut transmit) = ([0; 1_024], [0; 1_024]);
        let mut server = accept(&mut receive, &mut transmit, world.now());
        // A heartbeat or two; the link breaks with messages under way.
        for turns in 0..4_000 {
            if turns == 3_000 {
                let _ = link.endpoint_mut().send(world.now(), b"the last on this link");
            }
            depth = depth.max(depth_of(|| app::turn(&mut link, &mut world)));
            serve(&mut server, &mut world, &mut ledger, &mut mailbox);
            world.now += 100;
        }
        if connection == 0 {
            count(&mut link, &mut server, &mut world, &mut ledger, &mut mailbox);
        }
        if world.stored == 0 {
            fail("nothing came of it");
        }
        world.stored = 0;
        link.handle_disconnected(world.now(), longlink::session::Disconnect::Transport);
        (world.up.len, world.down.len, world.refuses) = (0, 0, 1);
        app::connect(&mut link, world.now());
    }
    println!("stack {}", depth);
    println!("client {}", size_of::<Client<'_>>());
    println!("dialer {}", size_of::<Dialer<[longlink::liveness::Candidate; 2]>>());
    println!("storage {}", size_of::<Memory>());
    process::exit(0)
}

/// A configuration says so if it asks for what this build leaves out.
fn refuse_what_is_not_built() {
    let mailbox = Config { sync: Some(sync::Config::DEFAULT), dialer: None, ..app::CONFIG };
    let dials = Config { sync: None, dialer: Some(DialerConfig::DEFAULT), ..app::CONFIG };
    for (config, feature, is_built) in
        [(mailbox, "sync", cfg!(feature = "sync")), (dials, "dialer", cfg!(feature = "dialer"))]
    {
        let mut storage: Storage = Storage::new();
        let refused = storage.client(&config).err();
        if refused != (!is_built).then_some(ConfigError::NotBuilt { feature }) {
            fail(feature);
        }
    }
}

/// Sends messages, one at a time, and counts what the sending takes and what its acknowledgement does.
fn count(
    link: &mut ClientLink,
    server: &mut Link<Server<'_, &mut [u8]>, &mut [u8]>,
    world: &mut World,
    ledger: &mut Ledger,
    mailbox: &mut RingMailbox<'_>,
) {
    const TIMES: u32 = 16;
    let (mut sending, mut taking) = (0, 0);
    for _ in 0..TIMES {
        let now = world.now();
        let begin = ticks();
        let sent = link.endpoint_mut().send(now, b"thirty-two bytes of a message...");
        link.endpoint_mut().flush(now);
        let bytes = link.poll_transmit();
        sending += since(begin);
        let n = bytes.map_or(0, |bytes| world.write(bytes));
        let begin = ticks();
        link.handle_sent(now, n);
        sending += since(begin);
        if sent.is_err() {
            fail("not sent");
        }
        serve(server, world, ledger, mailbox);
        let mut told = false;
        let n = world.read(link.space());
        let begin = ticks();
        link.handle_read(now, n);
        link.process(now, |_, _| told = true);
        taking += since(begin);
        if !told {
            fail("not acknowledged");
        }
        world.now += 10;
    }
    let instructions = |ticks: u32| u64::from(ticks) * 10 / 256 / u64::from(TIMES);
    println!("send {}", instructions(sending));
    println!("ack {}", instructions(taking));
}

fn accept<'b>(
    receive: &'b mut [u8],
    transmit: &'b mut [u8],
    now: Instant,
) -> Link<Server<'b, &'b mut [u8]>, &'b mut [u8]> {
    let (decoder, server) = (Decoder::new(&Dialect::LONGLINK, receive), Server::new(&ServerConfig::DEFAULT, now));
    let (Ok(decoder), Ok(mut server)) = (decoder, server) else { fail("the server") };
    if server.lend(transmit).is_err() {
        fail("its buffer");
    }
    Link::new(decoder, server)
}

#[inline(never)]
fn serve(
    link: &mut Link<Server<'_, &mut [u8]>, &mut [u8]>,
    world: &mut World,
    ledger: &mut Ledger,
    mailbox: &mut RingMailbox<'_>,
) {
    let now = world.now();
    let n = world.up.take(link.space());
    link.handle_read(now, n);
    link.process(now, |server, event| match event {
        ServerEvent::Hello(hello) => {
            if let Ok(greeted) = ledger.greet(hello.epoch, hello.link) {
                let _ = server.welcome(now, ledger, greeted.resumed);
            }
        }
        ServerEvent::Message { id, .. } => {
            let _ = ledger.accept(&id);
            let _ = server.accept(now, &id);
        }
        ServerEvent::Sync { sequence, request } => {
            let _ = server.answer_sync(now, sequence, &request, &mut mailbox.device(1, now));
        }
        ServerEvent::SyncDone(ack) => {
            let _ = sync::acknowledge(&ack, &mut mailbox.device(1, now));
        }
        _ => {}
    });
    if let Some(bytes) = link.poll_transmit() {
        let n = world.down.put(bytes);
        link.handle_sent(now, n);
    }
}

/// Two pipes and a clock.
#[derive(Default)]
struct World {
    now: u64,
    up: Pipe,
    down: Pipe,
    /// So many attempts fail.
    refuses: u32,
    /// How often something was stored.
    stored: u32,
}

struct Pipe {
    bytes: [u8; 2_048],
    len: usize,
}

impl Default for Pipe {
    fn default() -> Self {
        Self { bytes: [0; 2_048], len: 0 }
    }
}

impl Pipe {
    fn put(&mut self, bytes: &[u8]) -> usize {
        let room = &mut self.bytes[self.len..];
        let n = bytes.len().min(room.len());
        room[..n].copy_from_slice(&bytes[..n]);
        self.len += n;
        n
    }

    fn take(&mut self, into: &mut [u8]) -> usize {
        let n = self.len.min(into.len());
        into[..n].copy_from_slice(&self.bytes[..n]);
        self.bytes.copy_within(n..self.len, 0);
        self.len -= n;
        n
    }
}

impl Board for World {
    fn now(&self) -> Instant {
        Instant::from_millis(self.now)
    }

    fn read(&mut self, into: &mut [u8]) -> usize {
        self.down.take(into)
    }

    fn write(&mut self, bytes: &[u8]) -> usize {
        self.up.put(bytes)
    }

    fn dial(&mut self, _: u16) -> bool {
        let refused = self.refuses > 0;
        self.refuses = self.refuses.saturating_sub(1);
        !refused
    }

    fn hang_up(&mut self) {}

    fn store(&mut self, _: &[u8]) {
        self.stored += 1;
    }
}

const PAINT: u32 = 0xA5A5_5A5A;
const REACH: usize = 4_096;

/// How many bytes of stack a call takes: those below it are painted before, and looked at after.
#[inline(never)]
fn depth_of(call: impl FnOnce()) -> usize {
    let here = 0_u32;
    // Away from this frame, which is smaller than that.
    let top = (&raw const here as usize & !3) - 256;
    for at in (top - REACH..top).step_by(4) {
        // SAFETY: aligned words of RAM below the stack's end, which nobody uses just now.
        unsafe { write_volatile(at as *mut u32, PAINT) };
    }
    call();
    let mut at = top - REACH;
    // SAFETY: as above.
    while at < top && unsafe { read_volatile(at as *const u32) } == PAINT {
        at += 4;
    }
    &raw const here as usize - at
}

const SYST_CSR: *mut u32 = 0xE000_E010 as *mut u32;
const SYST_RVR: *mut u32 = 0xE000_E014 as *mut u32;
const SYST_CVR: *mut u32 = 0xE000_E018 as *mut u32;

fn start_timer() {
    // SAFETY: the processor's timer: all of its 24 bits, by its own clock, without interrupts.
    unsafe {
        write_volatile(SYST_RVR, 0x00FF_FFFF);
        write_volatile(SYST_CVR, 0);
        write_volatile(SYST_CSR, 5);
    }
}

fn ticks() -> u32 {
    // SAFETY: the processor's timer.
    unsafe { read_volatile(SYST_CVR) }
}

/// It counts down.
fn since(begin: u32) -> u32 {
    begin.wrapping_sub(ticks()) & 0x00FF_FFFF
}

fn fail(what: &str) -> ! {
    println!("failed: {}", what);
    process::exit(1)
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    fail("a panic")
}
