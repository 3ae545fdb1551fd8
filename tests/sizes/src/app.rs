//! A client's application that uses all there is.

use core::num::NonZeroU64;
use core::time::Duration;
use longlink::Instant;
use longlink::liveness::{Address, Fault, HeartbeatPolicy};
use longlink::session::{Client, Config, ConfigError, Event, Identity, Link, Storage};

/// What a link is carried by.
pub trait Board {
    fn now(&self) -> Instant;
    /// Reads what is there.
    fn read(&mut self, into: &mut [u8]) -> usize;
    /// Writes what is taken.
    fn write(&mut self, bytes: &[u8]) -> usize;
    /// Connects, and tells whether that worked.
    fn dial(&mut self, index: u16) -> bool;
    /// The connection is given up.
    fn hang_up(&mut self);
    /// Whatever the application stores.
    fn store(&mut self, bytes: &[u8]);
}

pub static CONFIG: Config<'static> = Config {
    identity: Some(Identity::volatile(NonZeroU64::MIN)),
    hello: Some(b"token"),
    linger: Duration::from_millis(20),
    #[cfg(feature = "sync")]
    sync: Some(longlink::sync::Config::DEFAULT),
    #[cfg(feature = "dialer")]
    dialer: Some(longlink::session::DialerConfig::DEFAULT),
    heartbeat: HeartbeatPolicy::Adaptive,
    ..Config::DEFAULT
};

pub type Memory = Storage<512, 512, 4, 2, 2>;
pub type ClientLink = Link<Client<'static>, &'static mut [u8]>;

/// A client that wants a link.
pub fn begin(memory: &'static mut Memory, now: Instant) -> Result<ClientLink, ConfigError> {
    let mut link = memory.client(&CONFIG)?;
    connect(&mut link, now);
    // There is room for two.
    let _ = link.endpoint_mut().set_addresses(now, &[Address::new(0, 80), Address::new(1, 80)]);
    link.endpoint_mut().open(now, 7);
    Ok(link)
}

/// Who does not dial is connected by somebody else.
pub fn connect(link: &mut ClientLink, now: Instant) {
    if !cfg!(feature = "dialer") {
        link.handle_connected(now);
    }
}

/// Does all that can be done now.
#[inline(never)]
pub fn turn(link: &mut ClientLink, board: &mut impl Board) {
    let now = board.now();
    let n = board.read(link.space());
    link.handle_read(now, n);
    let mut asked = None;
    link.process(now, |client, event| match event {
        Event::Connect(attempt) => asked = Some(attempt),
        event => tell(now, client, event, board),
    });
    if let Some(attempt) = asked {
        if !board.dial(attempt.address().index) {
            link.endpoint_mut().handle_refused(now, attempt, Fault::Silent);
        } else if !link.handle_alive(now, attempt) {
            board.hang_up();
        }
    }
    if let Some(bytes) = link.poll_transmit() {
        let n = board.write(bytes);
        link.handle_sent(now, n);
    }
    if let Some(why) = link.over().or(link.closing()) {
        link.handle_disconnected(now, why);
        board.hang_up();
        connect(link, now);
    }
}

fn tell(now: Instant, client: &mut Client<'_>, event: Event<'_>, board: &mut impl Board) {
    match event {
        Event::Online { .. } => {
            // As many as there is room for.
            while client.send(now, b"a message of which there are some").is_ok() {}
        }
        Event::Push(frame) => board.store(frame.body()),
        Event::Delivered { token } => board.store(&token.sequence().to_be_bytes()),
        Event::Page(page) => {
            page.items().for_each(|item| board.store(item.bytes));
            let mut cursor = [0; 32];
            if let Ok(n) = client.cursor_after(&page.receipt(), &mut cursor) {
                board.store(cursor.get(..n).unwrap_or_default());
            }
            if client.commit(now, &page.receipt()).is_err() {
                client.abandon(now);
            }
        }
        Event::NetworkLearned(record) => board.store(&record.to_bytes()),
        Event::Offline(_) => board.store(b"offline"),
        _ => {}
    }
}
