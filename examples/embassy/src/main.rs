//! A sensor on embassy that holds one link: it reports readings, each stored once, and takes its set-point from its mailbox.
//!
//! ```text
//!              REPORTS                      UART
//!    sensor ────────────▶ hold_link ◀──────────────▶ server
//!       ▲                     │
//!       └──── SET_POINT ──────┘
//! ```
//!
//! [`hold_link`] is what to copy: `task::run` does all that the link needs, and a closure joins it to the other tasks. It is
//! called at every wake-up, and sends what they want sent, and with everything that happens. Nothing here knows the chip but
//! `board`, in whose place another has the crate of its family; and the transport may be any halves that read and write.
//!
//! `./run` builds it, and runs it in QEMU against the example server.

#![no_std]
#![no_main]

mod board;
mod report;
mod sensor;
#[cfg(feature = "tls")]
mod tls;

use board::Uart;
use core::num::NonZeroU64;
use core::pin::pin;
use core::task::{Context, Poll};
use core::time::Duration;
use embassy_executor::Spawner;
use embassy_time::Timer;
use longlink::Instant;
#[cfg(not(feature = "tls"))]
use longlink::io::task;
use longlink::io::task::Clock;
use longlink::liveness::HeartbeatPolicy;
use longlink::session::{Client, Config, Event, Identity, Storage};
use longlink::sync::{self, Item, Wanted};
use report::{counted, exit, say};
use sensor::{READINGS, REPORTS, Report, SET_POINT};

static CONFIG: Config = Config {
    // On a chip its serial number: no two devices may have the same.
    identity: Some(Identity::volatile(NonZeroU64::MIN)),
    // By this the example server knows the account; over anything but a wire of your own it belongs into TLS.
    hello: Some(b"sensor"),
    // Of its mailbox it wants what others sent.
    sync: Some(sync::Config { keys: Wanted::Listed(&[1]), ..sync::Config::DEFAULT }),
    // So often that one is seen here; as a rule once in some minutes, or `Adaptive`.
    heartbeat: HeartbeatPolicy::Fixed(Duration::from_secs(1)),
    ..Config::DEFAULT
};

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    let uart = board::start();
    match (sensor::run(), hold_link(uart)) {
        (Ok(sensor), Ok(link)) => {
            spawner.spawn(sensor);
            spawner.spawn(link);
        }
        _ => exit(Err("no room for the tasks")),
    }
}

/// Holds the link, for as long as it lasts.
#[embassy_executor::task]
async fn hold_link(uart: Uart) {
    // A task's variables are static memory in embassy.
    let mut storage: Storage = Storage::new();
    let Ok(mut link) = storage.client(&CONFIG) else { return exit(Err("the configuration cannot work")) };
    let (mut app, mut polls) = (App::default(), 0);
    let app = |cx: &mut Context<'_>, now: Instant, client: &mut Client<'_>, event: Option<Event<'_>>| match event {
        None => app.send(cx, now, client),
        Some(event) => app.handle(now, client, event),
    };

    // A wire is always connected. With a network, from here on this is the body of a loop, whose first step is to connect:
    // what is unsettled when a link breaks stays in `link`, and goes on with the next.
    #[cfg(not(feature = "tls"))]
    let (mut read, mut write) = (uart, uart);
    #[cfg(not(feature = "tls"))]
    link.handle_connected(Time.now());
    #[cfg(not(feature = "tls"))]
    let run = pin!(task::run(&mut link, &mut read, &mut write, &Time, app));
    #[cfg(feature = "tls")]
    let run = pin!(tls::run(&mut link, uart, &Time, app));
    let over = counted(run, &mut polls).await;

    say!("{polls} polls of the link's task");
    exit(if over.is_ok_and(|why| why.is_orderly()) { Ok(()) } else { Err("the link was lost") });
}

/// What the link is for.
#[derive(Default)]
struct App {
    /// Taken out of `REPORTS`, and not sent yet.
    next: Option<Report>,
    delivered: u32,
}

impl App {
    /// Called at every wake-up: is there something to send? If there is later, that wakes this task.
    fn send(&mut self, cx: &mut Context<'_>, now: Instant, client: &mut Client<'_>) {
        loop {
            let polled = self.next.take().map_or_else(|| REPORTS.poll_receive(cx), Poll::Ready);
            let Poll::Ready(report) = polled else { return };
            if client.send(now, report.as_bytes()).is_err() {
                // As much is under way as there is room for. Its end is a wake-up.
                self.next = Some(report);
                return;
            }
        }
    }

    /// Called with everything that happens.
    fn handle(&mut self, now: Instant, client: &mut Client<'_>, event: Event<'_>) {
        match event {
            Event::Online { .. } => say!("online"),
            Event::Page(page) => {
                for degrees in page.items().filter_map(|item| set_point(&item)) {
                    say!("set-point {degrees}");
                    SET_POINT.signal(degrees);
                }
                // What has to outlive a restart is stored first, and the cursor with it. This lives in RAM.
                if client.commit(now, &page.receipt()).is_err() {
                    client.abandon(now);
                }
            }
            Event::CaughtUp => say!("caught up"),
            Event::Delivered { token } => {
                self.delivered += 1;
                say!("delivered {}", token.sequence());
            }
            Event::Failed { token, why, .. } => say!("failed {}: {why}", token.sequence()),
            Event::Heartbeat { .. } => {
                say!("heartbeat");
                if self.delivered == READINGS {
                    client.close(now);
                }
            }
            Event::Offline(why) => say!("offline: {why}"),
            _ => {}
        }
    }
}

/// The number in an item, as the example server keeps messages: `{...,"text":"21"}`.
fn set_point(item: &Item<'_>) -> Option<u32> {
    let (_, text) = str::from_utf8(item.bytes).ok()?.split_once(r#""text":""#)?;
    text.split_once('"')?.0.parse().ok()
}

/// embassy's time as longlink's.
struct Time;

impl Clock for Time {
    fn now(&self) -> Instant {
        Instant::from_micros(embassy_time::Instant::now().as_micros())
    }

    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> {
        // Where a tick is longer than a microsecond, the next one: a time that has not come yet is not to be told.
        let tick = embassy_time::Duration::from_ticks(u64::from(embassy_time::TICK_HZ < 1_000_000));
        Timer::at(embassy_time::Instant::from_micros(at.as_micros()) + tick)
    }
}
