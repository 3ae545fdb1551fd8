//! Both kinds of log lines at once, on bare metal: every public type of the library can be logged with defmt and with log, and
//! what one gets the other gets.
//!
//! defmt's frames are written to the standard output, log's lines to the standard error. As many of the one as of the other, and
//! an exit in good order, is what to look for.

#![no_std]
#![no_main]

mod types;
mod wire;

use core::panic::PanicInfo;
use cortex_m as _; // its critical section
use cortex_m_rt::entry;
use defmt_semihosting as _;
use log::{LevelFilter, Log, Metadata, Record};
use longlink::Instant;
use longlink::io::blocking::{Progress, step};
use longlink::session::{Config, Disconnect, Endpoint, Event, Storage};
use longlink::wire::Dialect;
use semihosting::{eprintln, process};
use wire::Wire;

/// A line for each log.
macro_rules! say {
    ($value:expr) => {{
        let value = $value;
        defmt::info!("{}", value);
        log::info!("{:?}", value);
    }};
}

struct StandardError;

impl Log for StandardError {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        eprintln!("{} {}", record.level(), record.args());
    }

    fn flush(&self) {}
}

#[entry]
fn main() -> ! {
    let is_good = log::set_logger(&StandardError).is_ok();
    log::set_max_level(LevelFilter::Debug);
    types::formats();
    types::machines();
    let ended = run();
    process::exit(if is_good && ended == Some(Disconnect::HeartbeatLost) { 0 } else { 1 })
}

/// A request, its reply, and a heartbeat that nobody answers.
fn run() -> Option<Disconnect> {
    let config = Config::DEFAULT;
    say!(config);
    let mut storage: Storage = Storage::new();
    let mut link = storage.client(&config).ok()?;
    let (mut io, mut now) = (Wire::new(&Dialect::LONGLINK), Instant::ZERO);
    link.handle_connected(now);
    say!(link.endpoint_mut().request(now, 237, b"hello"));
    loop {
        let step = step(&mut link, &mut io, now, |_, event: Event<'_>| say!(event));
        match step {
            Ok(Progress::Moved) => {}
            Ok(Progress::Idle) => {
                say!(link.endpoint().next_timer());
                now = link.poll_timeout()?;
            }
            Ok(Progress::Over(why)) => {
                say!(link.endpoint().stats());
                return Some(why);
            }
            Err(_) => return None,
        }
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    eprintln!("{info}");
    process::exit(2)
}
