//! What the device is for. It knows nothing of the link: it waits for a set-point, and has reports sent.

use crate::report::say;
use core::fmt::Write as _;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::{channel::Channel, signal::Signal};
use embassy_time::{Duration, Ticker};

/// What is to be sent. Whoever has more than there is room for waits.
pub(crate) static REPORTS: Channel<CriticalSectionRawMutex, Report, 2> = Channel::new();
/// The newest set-point that came.
pub(crate) static SET_POINT: Signal<CriticalSectionRawMutex, u32> = Signal::new();

pub(crate) type Report = heapless::String<32>;

/// So many readings are sent.
pub(crate) const READINGS: u32 = 5;

/// Comes nearer to its set-point, reading by reading.
#[embassy_executor::task]
pub(crate) async fn run() {
    let set_point = SET_POINT.wait().await;
    let mut ticker = Ticker::every(Duration::from_millis(200));
    for n in 1..=READINGS {
        ticker.next().await;
        let mut report = Report::new();
        match write!(report, "reading {n}: {}", set_point.saturating_sub(READINGS - n)) {
            Ok(()) => REPORTS.send(report).await,
            Err(_) => say!("a reading is too long to be told"),
        }
    }
}
