//! Writes what was said as a capture file, as if it had been listened to on the way: TCP over IPv4, for Wireshark and the like.
//!
//! Device `n` is 10.0.0.n, the server is 10.0.1.1:8080, and each link has a port of its own. Nothing is lost or repeated
//! in the file: it shows what the two ends wrote and when, not what the network did to single packets.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Write};
use std::time::{SystemTime, UNIX_EPOCH};

const SERVER: ([u8; 4], u16) = ([10, 0, 1, 1], 8080);
/// The most bytes of a segment, what an Ethernet frame has room for.
pub(crate) const MSS: u16 = 1_460;
const WINDOW: u16 = u16::MAX;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// A capture file that is being written.
pub(crate) struct Capture<W> {
    out: W,
    links: HashMap<u32, Link>,
    /// The time of the last packet; a clock that goes backwards stands still.
    latest: SystemTime,
    packets: u16,
}

/// An end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Device,
    Server,
}

/// How an end leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Close {
    /// It has said all, and may still read: a FIN. The link is over when both have done so.
    Fin,
    /// It is gone, and so is the link: a RST.
    Reset,
}

/// What both ends know.
struct Link {
    device: End,
    server: End,
}

struct End {
    address: ([u8; 4], u16),
    /// The number of the next byte that it writes.
    next: u32,
    /// The number of the first byte that the other end has not acknowledged.
    unacknowledged: u32,
    done: bool,
}

impl<W: Write> Capture<W> {
    /// Writes the head of the file: pcap, times in nanoseconds, packets that begin with the IP header.
    pub(crate) fn new(mut out: W) -> io::Result<Self> {
        const RAW_IP: u32 = 101;
        let version = [2_u16, 4].map(u16::to_le_bytes);
        let [zone, accuracy, longest, kind] = [0, 0, 65_535, RAW_IP].map(u32::to_le_bytes);
        out.write_all(&0xA1B2_3C4D_u32.to_le_bytes())?;
        out.write_all(version.as_flattened())?;
        out.write_all([zone, accuracy, longest, kind].as_flattened())?;
        Ok(Self { out, links: HashMap::new(), latest: UNIX_EPOCH, packets: 0 })
    }

    /// A device has connected: the three packets of that.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if there is a link of this number, and those of the writer.
    pub(crate) fn open(&mut self, at: SystemTime, link: u32, device: u8) -> io::Result<()> {
        if self.links.contains_key(&link) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let port = 10_000 + (link % 50_000) as u16;
        let start = link.wrapping_mul(0x0100_0193);
        self.links.insert(
            link,
            Link { device: End::new(([10, 0, 0, device], port), start), server: End::new(SERVER, !start) },
        );
        self.packet(at, link, Side::Device, SYN, &[])?;
        self.packet(at, link, Side::Server, SYN | ACK, &[])?;
        self.packet(at, link, Side::Device, ACK, &[])
    }

    /// An end has written `bytes`: in segments of [`MSS`] at most, of which every second one is acknowledged by itself.
    ///
    /// # Errors
    ///
    /// `NotConnected` if there is no such link or this end has closed it, and those of the writer.
    pub(crate) fn carry(&mut self, at: SystemTime, link: u32, from: Side, bytes: &[u8]) -> io::Result<()> {
        let mut segments = bytes.chunks(MSS.into()).peekable();
        while let Some(segment) = segments.next() {
            let push = if segments.peek().is_none() { PSH } else { 0 };
            self.packet(at, link, from, ACK | push, segment)?;
            if self.links[&link].end(from).in_flight() >= 2 * u32::from(MSS) {
                self.packet(at, link, from.other(), ACK, &[])?;
            }
        }
        Ok(())
    }

    /// An end has left, in good order or not.
    ///
    /// # Errors
    ///
    /// `NotConnected` if there is no such link or this end has closed it, and those of the writer.
    pub(crate) fn close(&mut self, at: SystemTime, link: u32, from: Side, how: Close) -> io::Result<()> {
        if how == Close::Reset {
            self.packet(at, link, from, RST | ACK, &[])?;
            self.links.remove(&link);
            return Ok(());
        }
        self.packet(at, link, from, FIN | ACK, &[])?;
        self.packet(at, link, from.other(), ACK, &[])?;
        self.links.retain(|_, link| !(link.device.done && link.server.done));
        Ok(())
    }

    /// Writes out what is buffered. Links that are still open remain so.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn packet(&mut self, at: SystemTime, link: u32, from: Side, flags: u8, payload: &[u8]) -> io::Result<()> {
        let ends = self.links.get_mut(&link).ok_or(ErrorKind::NotConnected)?;
        if ends.end(from).done && (flags & FIN != 0 || !payload.is_empty()) {
            return Err(ErrorKind::NotConnected.into());
        }
        self.packets = self.packets.wrapping_add(1);
        self.latest = self.latest.max(at);
        let packet = ends.packet(from, flags, payload, self.packets);
        let time = self.latest.duration_since(UNIX_EPOCH).unwrap_or_default();
        let length = packet.len() as u32;
        let head = [time.as_secs() as u32, time.subsec_nanos(), length, length].map(u32::to_le_bytes);
        self.out.write_all(head.as_flattened())?;
        self.out.write_all(&packet)
    }
}

impl Link {
    fn end(&self, side: Side) -> &End {
        match side {
            Side::Device => &self.device,
            Side::Server => &self.server,
        }
    }

    /// The packet, after which both ends are further.
    fn packet(&mut self, from: Side, flags: u8, payload: &[u8], number: u16) -> Vec<u8> {
        let (from, to) = match from {
            Side::Device => (&mut self.device, &mut self.server),
            Side::Server => (&mut self.server, &mut self.device),
        };
        let mut acknowledgement = 0;
        if flags & ACK != 0 {
            to.unacknowledged = to.next;
            acknowledgement = to.next;
        }
        let segment = segment(from, to, acknowledgement, flags, payload);
        let takes_a_number = flags & (SYN | FIN) != 0;
        from.next = from.next.wrapping_add(payload.len() as u32 + u32::from(takes_a_number));
        from.done |= flags & FIN != 0;
        in_ip(from, to, number, &segment)
    }
}

impl End {
    fn new(address: ([u8; 4], u16), start: u32) -> Self {
        Self { address, next: start, unacknowledged: start, done: false }
    }

    fn in_flight(&self) -> u32 {
        self.next.wrapping_sub(self.unacknowledged)
    }
}

impl Side {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Device => Self::Server,
            Self::Server => Self::Device,
        }
    }
}

fn segment(from: &End, to: &End, acknowledgement: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let options: &[u8] = if flags & SYN != 0 { &[2, 4, (MSS >> 8) as u8, MSS as u8] } else { &[] };
    let words = (20 + options.len()) / 4;
    let mut segment = Vec::with_capacity(24 + payload.len());
    segment.extend([from.address.1, to.address.1].map(u16::to_be_bytes).as_flattened());
    segment.extend([from.next, acknowledgement].map(u32::to_be_bytes).as_flattened());
    segment.extend([(words as u8) << 4, flags]);
    segment.extend(WINDOW.to_be_bytes());
    segment.extend([0; 4]); // checksum, urgent pointer
    segment.extend(options);
    segment.extend(payload);

    let length = segment.len() as u16;
    let pseudo = [&from.address.0[..], &to.address.0, &[0, 6], &length.to_be_bytes()].concat();
    let checksum = checksum(&[&pseudo, &segment]);
    segment[16..18].copy_from_slice(&checksum.to_be_bytes());
    segment
}

fn in_ip(from: &End, to: &End, number: u16, segment: &[u8]) -> Vec<u8> {
    let length = 20 + segment.len() as u16;
    let mut packet = vec![0x45, 0];
    packet.extend([length, number, 0x4000].map(u16::to_be_bytes).as_flattened()); // whole
    packet.extend([64, 6, 0, 0]); // TCP
    packet.extend(from.address.0);
    packet.extend(to.address.0);
    let checksum = checksum(&[&packet]);
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    packet.extend(segment);
    packet
}

/// The Internet checksum over parts of which only the last may have an odd length.
pub(crate) fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let mut sum = words
        .fold(0_u32, |sum, word| sum + u32::from(u16::from_be_bytes([word[0], word.get(1).copied().unwrap_or(0)])));
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}
