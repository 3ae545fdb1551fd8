//! The whole client on a microcontroller: it dials through a modem at a UART, sends messages, is brought up to date, loses
//! its link and finds another, with nothing below it but the registers of the board.
//!
//! This file is the loop to copy. `calls.rs` is how a link is come by with one line, `app.rs` what the device is for,
//! `modem.rs` and `board/` what is different in yours.

#![no_std]
#![no_main]

mod app;
mod board;
mod calls;
mod inbox;
mod modem;

use app::App;
use board::Uart;
use calls::Calls;
use core::num::NonZeroU64;
use core::time::Duration;
use longlink::io::blocking::{Progress, step};
use longlink::liveness::{Address, HeartbeatPolicy, TooManyAddresses};
use longlink::session::{Client, Config, ConfigError, DialerConfig, Event, Identity, Storage};
use longlink::{Instant, earliest, sync};
use modem::Modem;
use static_cell::StaticCell;

/// All of the client's memory: 1 KiB to receive, 1 KiB to send, 8 messages at a time, 8 keys, 4 addresses.
static STORAGE: StaticCell<Storage> = StaticCell::new();
/// The application's.
static APP: StaticCell<App> = StaticCell::new();

/// The number of this device, which no other has.
const DEVICE: NonZeroU64 = NonZeroU64::MIN.saturating_add(41);

const CONFIG: Config<'static> = Config {
    identity: Some(Identity::volatile(DEVICE)),
    hello: Some(b"ann"), // the token; over TLS, or by a modem that does TLS
    sync: Some(sync::Config { max_bytes: Some(256), ..sync::Config::DEFAULT }),
    dialer: Some(DialerConfig::DEFAULT),
    // `Adaptive` finds out how seldom will do. This one shows some in a run of seconds.
    heartbeat: HeartbeatPolicy::Fixed(Duration::from_secs(1)),
    ..Config::DEFAULT
};

/// The modem knows them by number.
const ADDRESSES: [Address; 3] = [Address::new(0, 8_080), Address::new(1, 8_080), Address::new(2, 8_080)];

#[board::entry]
fn main() -> ! {
    board::stack::paint();
    let uart = board::start();
    defmt::debug!("on {=str}", board::NAME);
    let is_good = match run(uart) {
        Ok(()) => true,
        Err(error) => {
            defmt::error!("{}", error);
            false
        }
    };
    board::exit(is_good)
}

fn run(uart: Uart) -> Result<(), Error> {
    let storage = STORAGE.try_init_with(Storage::new).ok_or(Error::StartedTwice)?;
    let app = APP.try_init_with(App::new).ok_or(Error::StartedTwice)?;
    let mut link = storage.client(&CONFIG)?;
    let (mut modem, mut calls, mut sleep) = (Modem::new(uart), Calls::new(), Sleep::default());
    // What a device has on flash goes in here: `restore`, `restore_cursor`, `set_network`.
    link.endpoint_mut().set_addresses(board::now(), &ADDRESSES)?;
    link.endpoint_mut().open(board::now(), DEVICE.get());

    while !(app.is_over() && calls.is_free()) {
        let (now, is_up, mut moved) = (board::now(), calls.is_up(), false);
        // 1. Commands from elsewhere: a button was pressed, an interrupt left a note. This device has none.

        // 2. What came, what is due, what is to be written.
        let on = |client: &mut Client<'_>, event: Event<'_>| match event {
            Event::Connect(attempt) => calls.want(now, client, attempt),
            Event::Abandon(attempt) => calls.abandon(attempt),
            event => app.handle(now, client, event),
        };
        if is_up {
            match step(&mut link, &mut modem, now, on) {
                Ok(Progress::Moved) => moved = true,
                Ok(Progress::Idle) => {}
                Ok(Progress::Over(why)) => calls.end(now, &mut modem, why),
                Err(_) => calls.lose(),
            }
        } else {
            link.process(now, on);
        }
        // 3. Links that are to be made, and those that are over.
        moved |= calls.advance(now, &mut modem, &mut link);

        // 4. Nothing moves any more: sleeps until a byte comes, or something is due.
        if !moved {
            let due = earliest([link.poll_timeout(), calls.poll_timeout()]);
            sleep.until(due, modem.wants_room());
        }
    }
    sleep.tell();
    defmt::debug!("Storage: {=usize} bytes, Client: {=usize}", size_of::<Storage>(), size_of::<Client<'_>>());
    defmt::debug!("the stack was {=usize} bytes deep", board::stack::deepest());
    app.finish().map_err(Error::App)
}

/// How the device sleeps, and how much of its time.
#[derive(Default)]
struct Sleep {
    wake_ups: u32,
    micros: u64,
}

impl Sleep {
    fn until(&mut self, due: Option<Instant>, wants_room: bool) {
        let before = board::now();
        board::sleep(due, wants_room);
        self.wake_ups = self.wake_ups.saturating_add(1);
        self.micros = self.micros.saturating_add(board::now().micros_since(before));
    }

    fn tell(&self) {
        let all = board::now().as_micros();
        defmt::debug!("{=u32} wake-ups, asleep for {=u64} of {=u64} us", self.wake_ups, self.micros, all);
        let is_asleep = self.micros > all / 2;
        defmt::info!("asleep for most of the time: {=bool}", is_asleep);
    }
}

/// What the device cannot go on with.
#[derive(defmt::Format)]
enum Error {
    StartedTwice,
    Config(ConfigError),
    Addresses(TooManyAddresses),
    App(&'static str),
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<TooManyAddresses> for Error {
    fn from(error: TooManyAddresses) -> Self {
        Self::Addresses(error)
    }
}
