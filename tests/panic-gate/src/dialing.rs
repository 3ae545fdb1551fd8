use crate::outside::{any, bytes, dialect, duration, flag, keep, now, number, short};
use longlink::Instant;
use longlink::liveness::{Activity, Address, Candidate, Fault, Network, NetworkRecord, TooManyAddresses};
use longlink::session::{Attempt, Client, Config, Dialer, DialerConfig, Endpoint, Event, Link, Work};
use longlink::wire::Decoder;

pub fn call_all() {
    keep(DialerConfig::default() == any(DialerConfig::DEFAULT));
    keep(Dialer::<[Candidate; 2]>::default());
    // Memory of any size, whatever is in it.
    let mut memory = Dialer::<[Candidate; 3]>::new();
    let dialer: &mut Dialer = any(&mut memory);
    let config = DialerConfig { linger: any(Some(duration())), activity: any(Activity::Foreground), wakes: flag() };
    let config = Config { dialect: dialect(), dialer: Some(config), ..any(Config::DEFAULT) };
    let work = Work { rx: 1_024, tx: any(&mut []), slots: any(&mut []), sync: None, dialer: Some(dialer) };
    if let (Ok(decoder), Ok(idle)) = (Decoder::new(dialect(), any([0; 64])), Client::new(any(&config), work)) {
        link(&mut Link::new(decoder, idle));
    }
}

/// Commands and questions of a client that dials.
pub fn client(client: &mut Client<'_>) {
    any(&mut *client).open(now(), number().into());
    let list = [address(), address()];
    keep::<Result<(), TooManyAddresses>>(any(&mut *client).set_addresses(now(), any(&list[..])));
    if let Some(attempt) = attempt(client) {
        keep(any(&mut *client).handle_alive(now(), attempt));
        any(&mut *client).handle_refused(now(), attempt, any(Fault::Silent));
    }
    let record = NetworkRecord::from_bytes(bytes()).ok();
    let network = any(Some(Network::from_number(number())));
    any(&mut *client).set_network(now(), network, record.as_ref());
    any(&mut *client).set_activity(now(), any(Activity::Background));
    any(&mut *client).wake(now());
    any(&mut *client).connect_now(now());
    any(&mut *client).signal(now());
    any(&mut *client).close(now());
    keep(any(&*client).is_dormant());
    keep(any(&*client).wants_link());
}

/// What only a link of such a client has.
pub fn link<B: AsRef<[u8]> + AsMut<[u8]>>(link: &mut Link<Client<'_>, B>) {
    client(any(&mut *link).endpoint_mut());
    any(&mut *link).handle_connected(now());
    if let Some(attempt) = attempt(any(&mut *link).endpoint_mut()) {
        keep(any(&mut *link).handle_alive(now(), attempt));
    }
    any(&mut *link).endpoint_mut().handle_timeout(now());
    keep::<Option<Instant>>(any(&*link).poll_timeout());
}

/// There is no other way to come by one.
fn attempt(client: &mut Client<'_>) -> Option<Attempt> {
    let Some(Event::Connect(attempt)) = any(any(client).poll_event()) else { return None };
    keep((any(attempt).number(), any(attempt).address(), any(attempt).is_check()));
    keep(any(attempt) == any(attempt));
    Some(any(attempt))
}

fn address() -> Address {
    Address { index: short(), port: short(), is_fallback: flag(), is_v6: flag() }
}
