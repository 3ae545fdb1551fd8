/// An address by the application's own number for it: the library never sees the address itself.
///
/// What is known of an address goes with `index` and `port`; so the same index must stand for the same IP address, or
/// host, as long as the list has it, also in a later list. The two flags are free to change.
///
/// ```
/// use longlink::liveness::Address;
///
/// let backup = Address::new(4, 443).fallback().v6();
/// assert!(backup.is_fallback && backup.is_v6);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Address {
    /// The application's number for the IP address or host.
    pub index: u16,
    /// The port there.
    pub port: u16,
    /// Not resolved, but built in or remembered: only for when those that were resolved do not work.
    pub is_fallback: bool,
    /// Reached over IPv6.
    pub is_v6: bool,
}

impl Address {
    /// The ports that such servers listen on, the first to be tried first: those of Tencent Mars.
    pub const PORTS: [u16; 3] = [8_080, 80, 443];

    /// A resolved IPv4 address.
    #[must_use]
    pub const fn new(index: u16, port: u16) -> Self {
        Self { index, port, is_fallback: false, is_v6: false }
    }

    /// The same as a fallback.
    #[must_use]
    pub const fn fallback(self) -> Self {
        Self { is_fallback: true, ..self }
    }

    /// The same over IPv6.
    #[must_use]
    pub const fn v6(self) -> Self {
        Self { is_v6: true, ..self }
    }

    /// `true` if the other is this one, whatever its flags.
    pub(super) const fn is(self, other: Self) -> bool {
        self.index == other.index && self.port == other.port
    }
}

/// Why an attempt on an address failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Fault {
    /// Somebody is there and says no, as by a TCP reset. That counts at once, and shows that the network works.
    Refused,
    /// It could not be tried: no route, no name, no socket. That says nothing of the address, and never counts.
    Unreachable,
    /// No answer in time. That counts if the network works.
    Silent,
    /// Connected, and what answers is not the protocol, as in a network that wants a login first. That counts if the
    /// network works, too.
    Foreign,
}
