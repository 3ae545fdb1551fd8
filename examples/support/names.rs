//! Where the server may be: the names that were given, the addresses that they have, and the number of each.

use longlink::Instant;
use longlink::liveness::Address;
use longlink::session::Client;
use std::net::SocketAddr;

/// Names and their addresses.
pub(crate) struct Names {
    names: Vec<Name>,
    /// An address has the number of its place, and keeps it for as long as some name has it.
    places: Vec<SocketAddr>,
    /// The addresses that were asked for last.
    last: Vec<SocketAddr>,
    /// Somebody is asking.
    is_asked: bool,
}

/// `HOST:PORT`, and what that was when it was resolved last.
struct Name {
    text: String,
    is_fallback: bool,
    addresses: Vec<SocketAddr>,
}

impl Names {
    /// So many addresses are tried, and the rest is left out.
    pub(crate) const MOST: usize = 16;

    /// The names, and those that are tried after them. What is an address already has itself.
    pub(crate) fn new(names: &[String], fallbacks: &[String]) -> Self {
        let name = |text: &String, is_fallback| Name {
            text: text.clone(),
            is_fallback,
            addresses: text.parse().into_iter().collect(),
        };
        let fallbacks = fallbacks.iter().map(|text| name(text, true));
        let names = names.iter().map(|text| name(text, false)).chain(fallbacks).collect();
        Self { names, places: Vec::new(), last: Vec::new(), is_asked: false }
    }

    /// The names to ask for, which takes a while; the answer goes to [`handle_resolved`](Self::handle_resolved). `None` if
    /// all are addresses, or somebody is asking already.
    pub(crate) fn resolve(&mut self) -> Option<Vec<String>> {
        let texts: Vec<_> = self.names.iter().map(|name| name.text.clone()).collect();
        let are_addresses = texts.iter().all(|text| text.parse::<SocketAddr>().is_ok());
        (!are_addresses && !std::mem::replace(&mut self.is_asked, true)).then_some(texts)
    }

    /// The answer. A name that could not be resolved has the addresses that it had.
    pub(crate) fn handle_resolved(&mut self, resolved: Vec<Option<Vec<SocketAddr>>>) {
        self.is_asked = false;
        for (name, addresses) in self.names.iter_mut().zip(resolved) {
            name.addresses = addresses.unwrap_or(std::mem::take(&mut name.addresses));
        }
    }

    /// Names all addresses to the client.
    pub(crate) fn tell(&mut self, now: Instant, client: &mut Client<'_>) {
        if let Err(error) = client.set_addresses(now, &self.addresses()) {
            eprintln!("client: {error}");
        }
    }

    /// All addresses, numbered.
    pub(crate) fn addresses(&mut self) -> Vec<Address> {
        let all = self.names.iter().flat_map(|name| name.addresses.iter().map(|at| (*at, name.is_fallback)));
        let all: Vec<_> = all.take(Self::MOST).collect();
        let mut kept = std::mem::replace(&mut self.last, all.iter().map(|(at, _)| *at).collect());
        kept.extend(&self.last);
        all.iter().map(|(at, is_fallback)| self.address(*at, *is_fallback, &kept)).collect()
    }

    /// The number of an address that nobody has any more is another's only after a while: what is known of one is not to be
    /// taken for the other's.
    fn address(&mut self, at: SocketAddr, is_fallback: bool, kept: &[SocketAddr]) -> Address {
        let mut places = self.places.iter();
        let place =
            places.position(|other| *other == at).or_else(|| self.places.iter().position(|p| !kept.contains(p)));
        let place = place.unwrap_or(self.places.len());
        match self.places.get_mut(place) {
            Some(taken) => *taken = at,
            None => self.places.push(at),
        }
        // There are few.
        let address = Address::new(u16::try_from(place).unwrap_or(u16::MAX), at.port());
        let address = if is_fallback { address.fallback() } else { address };
        if at.is_ipv6() { address.v6() } else { address }
    }

    /// What has this number.
    pub(crate) fn get(&self, address: Address) -> Option<SocketAddr> {
        self.places.get(usize::from(address.index)).copied()
    }
}
