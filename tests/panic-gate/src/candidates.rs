use crate::outside::{any, buffer, dialect, flag, keep, now, number, short, size};
use longlink::Instant;
use longlink::liveness::{Address, Candidate, Candidates, Fault, Network, Probe, TooManyAddresses, Verdict};

pub fn call_all() {
    keep(Address::PORTS);
    keep([any(address()).fallback(), any(address()).v6()]);
    let mut table = Candidates::<[Candidate; 3]>::new();
    keep(any(Candidates::<[Candidate; 2]>::default()).clone());
    // A table of any size, whatever is in it.
    let candidates: &mut Candidates = any(&mut table);
    let list = [address(), address()];
    keep(any(&*candidates).capacity());
    keep::<Result<(), TooManyAddresses>>(candidates.set(any(&list[..])));
    any(&mut *candidates).set_network(Network::from_number(number()));
    any(&mut *candidates).begin_round();
    keep(any(&mut *candidates).next(now()));
    any(&mut *candidates).put_back(address());
    keep(any(&*candidates).has_untried());
    keep(any(&*candidates).contains(address()));
    keep(any(&*candidates).len());
    keep(any(&*candidates).is_empty());
    keep(any(&*candidates).better_than(now(), address()));
    any(&mut *candidates).prefer(address());
    any(&mut *candidates).handle_alive(now(), address());
    any(&mut *candidates).handle_failed(now(), address(), any(Fault::Refused));
    keep(any(&*candidates).is_banned(now(), address()));
    keep::<Option<Instant>>(any(&*candidates).banned_until(now(), address()));
    keep(any(Candidate::FREE));

    let mut probe = Probe::new(dialect());
    keep(any(&probe).poll_transmit());
    any(&mut probe).handle_sent(size());
    let space = any(&mut probe).space();
    space.iter_mut().zip(buffer()).for_each(|(space, byte)| *space = *byte);
    keep::<Verdict>(any(&mut probe).commit(size()));
    keep(any(&probe).verdict());
    keep(any(&probe).clone());
}

fn address() -> Address {
    Address { index: short(), port: short(), is_fallback: flag(), is_v6: flag() }
}
