use super::ADDRESSES;
use super::device::unique;
use crate::Instant;
use crate::fuzzing::input::Input;
use crate::liveness::{
    Activity, Address, Candidate, Candidates, Fault, Heartbeat, HeartbeatPolicy, Network, NetworkRecord, Presence,
    Probe, Pulse, Reason, Reconnect, Verdict,
};
use crate::wire::Dialect;
use core::time::Duration;

/// Each part of liveness alone, told whatever the input says, in whatever order.
pub(super) struct Parts {
    candidates: Candidates<[Candidate; ADDRESSES]>,
    list: [Address; ADDRESSES],
    /// So many of them are in the list above, and so many are different.
    kept: usize,
    count: usize,
    /// So many of this round were given out.
    tried: usize,
    reconnect: Reconnect,
    presence: Presence,
    /// A server's word: not before.
    hold: Option<Instant>,
    waits: bool,
    heartbeat: Heartbeat,
    probe: Probe,
    dialect: &'static Dialect,
    clock: Instant,
}

impl Parts {
    pub(super) fn new(dialect: &'static Dialect) -> Self {
        Self {
            candidates: Candidates::new(),
            list: [Address::new(0, 0); ADDRESSES],
            kept: 0,
            count: 0,
            tried: 0,
            reconnect: Reconnect::new(7),
            presence: Presence::new(Activity::Foreground, Instant::ZERO),
            hold: None,
            waits: false,
            heartbeat: Heartbeat::new(HeartbeatPolicy::Adaptive, Heartbeat::ANSWER_TIMEOUT),
            probe: Probe::new(dialect),
            dialect,
            clock: Instant::ZERO,
        }
    }

    pub(super) fn happen(&mut self, op: u8, which: u8, now: Instant, input: &mut Input<'_>) {
        match op {
            23 | 24 => self.happen_to_candidates(op == 23, which, now, input),
            25 | 26 => {
                // This one is told the time as a session tells it.
                self.clock = self.clock.max(now);
                self.happen_to_reconnect(op == 25, which, self.clock, input);
            }
            27 | 28 => self.happen_to_heartbeat(op == 27, which, now, input),
            29 => record(input.bytes()),
            _ => self.happen_to_probe(which, input),
        }
    }

    fn happen_to_candidates(&mut self, first: bool, which: u8, now: Instant, input: &mut Input<'_>) {
        let candidates: &mut Candidates = &mut self.candidates;
        let address = |byte: u8| Address {
            is_fallback: byte & 8 != 0,
            is_v6: byte & 16 != 0,
            ..Address::new((byte & 7).into(), 80)
        };
        match (first, which) {
            (true, 0 | 1) => {
                let list = [(); ADDRESSES + 1].map(|()| address(input.number()));
                let count = usize::from(input.number()) % (ADDRESSES + 2);
                let count = count.min(list.len());
                if candidates.set(&list[..count]).is_ok() {
                    self.count = unique(&list[..count]);
                    assert_eq!(candidates.len(), self.count);
                    let kept = count.min(ADDRESSES);
                    self.list[..kept].copy_from_slice(&list[..kept]);
                    self.kept = kept;
                    self.tried = 0;
                    candidates.begin_round();
                } else {
                    assert!(unique(&list[..count]) > ADDRESSES);
                }
            }
            (true, 2) => {
                candidates.begin_round();
                self.tried = 0;
            }
            (true, 3) => candidates.set_network(Network::from_number(u32::from(input.number() & 3))),
            (true, 4) => candidates.prefer(address(input.number())),
            (true, _) => {
                let had = candidates.has_untried();
                let next = candidates.next(now);
                assert_eq!((next.is_some(), had), (self.tried < self.count, self.tried < self.count));
                self.tried += usize::from(next.is_some());
                assert!(next.is_none_or(|address| candidates.contains(address)));
            }
            (false, 0 | 1) => candidates.handle_alive(now, address(input.number())),
            (false, _) => {
                let fault = [Fault::Refused, Fault::Silent, Fault::Foreign, Fault::Unreachable][usize::from(which % 4)];
                candidates.handle_failed(now, address(input.number()), fault);
            }
        }
        for address in &self.list[..self.kept] {
            let until = candidates.banned_until(now, *address);
            assert_eq!(until.is_some(), candidates.is_banned(now, *address));
            assert!(until.is_none_or(|until| until > now));
            if let Some(better) = candidates.better_than(now, *address) {
                assert!(!better.is_fallback && !candidates.is_banned(now, better) && candidates.contains(better));
            }
        }
    }

    fn happen_to_reconnect(&mut self, first: bool, which: u8, now: Instant, input: &mut Input<'_>) {
        let (reconnect, presence) = (&mut self.reconnect, &mut self.presence);
        match (first, which) {
            (true, 0) => {
                reconnect.handle_attempt(now);
                self.waits = false;
            }
            (true, 1) => {
                reconnect.handle_attempt(now);
                reconnect.handle_online(now);
                (self.waits, self.hold) = (false, None);
            }
            (true, 2) => reconnect.handle_settled(),
            (true, 3) => {
                reconnect.handle_closed(now);
                self.waits = false;
            }
            (true, 4) => reconnect.hasten(now, presence),
            (true, 5) => reconnect.at_once(now, presence),
            (true, 6) => {
                self.hold = None;
                reconnect.force(now, presence);
            }
            (true, _) => {
                let activity = if input.number() & 1 == 0 { Activity::Foreground } else { Activity::Background };
                presence.set(now, activity);
                assert_eq!(presence.activity(), activity);
            }
            (false, which) => {
                let delay = Duration::from_millis(input.wide().into());
                let reasons = [Reason::Lost, Reason::Silent, Reason::AtOnce, Reason::Replaced, Reason::Offline];
                let reason = reasons.get(usize::from(which)).copied().unwrap_or(Reason::Named(delay));
                reconnect.handle_down(now, reason, presence);
                self.waits = true;
                let least = match reason {
                    Reason::Named(delay) if !delay.is_zero() => Some(now + delay.min(Reconnect::MOST_NAMED)),
                    Reason::Replaced => Some(now + Duration::from_secs(60)),
                    _ => None,
                };
                self.hold = self.hold.max(least);
            }
        }
        let at = self.reconnect.poll_timeout();
        assert!(!self.waits || at.is_some(), "nothing to wait for");
        // Whoever waits does not wait for less than was imposed, nor for ever.
        if let (Some(at), Some(hold)) = (at, self.hold) {
            assert!(at >= hold, "{at:?} is before {hold:?}");
        }
        assert!(at.is_none_or(|at| at.micros_since(now) <= 5_400_000_000), "{at:?} at {now:?}");
        assert!(self.presence.poll_interval(now, false) > self.presence.poll_interval(now, true));
    }

    fn happen_to_heartbeat(&mut self, first: bool, which: u8, now: Instant, input: &mut Input<'_>) {
        let heartbeat = &mut self.heartbeat;
        match (first, which) {
            (true, 0) => heartbeat.handle_connected(now),
            (true, 1) => heartbeat.handle_disconnected(),
            (true, 2) => heartbeat.handle_sent(now),
            (true, 3) => heartbeat.handle_received(now),
            (true, 4) => heartbeat.handle_beat_sent(now, Duration::from_millis(input.number().into())),
            (true, 5) => assert!(heartbeat.handle_answer(now).is_none() || !heartbeat.is_awaited()),
            (true, 6) => heartbeat.beat(),
            (true, _) => heartbeat.beat_late(),
            (false, 0) => {
                let record = NetworkRecord::from_bytes(input.bytes()).ok();
                let network = record.map_or(Network::from_number(input.number().into()), NetworkRecord::network);
                heartbeat.set_network(now, network, record.as_ref());
            }
            (false, 1) => heartbeat.set_foreground(input.number() & 1 == 1),
            (false, 2) => heartbeat.signal(now),
            (false, 3) => heartbeat.handle_reset(now),
            (false, 4) => heartbeat.handle_idle_limit(u16::try_from(input.wide() >> 16).unwrap()),
            (false, 5) => {
                if let Some(record) = heartbeat.take_learned() {
                    assert_ne!(record.network(), Network::UNKNOWN);
                }
                assert!(heartbeat.take_learned().is_none(), "told twice");
            }
            (false, _) => {
                let now = if which == 6 { heartbeat.poll_timeout().map_or(now, |due| due.max(now)) } else { now };
                let pulse = heartbeat.handle_timeout(now);
                assert!(heartbeat.poll_timeout().is_none_or(|at| at > now));
                assert_eq!(pulse == Pulse::Beat, heartbeat.is_wanted() && pulse != Pulse::Steady);
            }
        }
        let heartbeat = &self.heartbeat;
        let interval = heartbeat.interval().unwrap();
        assert!(interval >= Duration::from_secs(5) && interval <= Heartbeat::LONGEST);
        let stored = heartbeat.record();
        assert_eq!(NetworkRecord::from_bytes(&stored.to_bytes()), Ok(stored), "what is stored can be read");
        assert!(stored.interval() >= Heartbeat::SHORTEST && stored.interval() <= Heartbeat::LONGEST);
    }

    fn happen_to_probe(&mut self, which: u8, input: &mut Input<'_>) {
        let probe = &mut self.probe;
        let verdict = probe.verdict();
        match which {
            0 => return self.probe = Probe::new(self.dialect),
            1 => probe.handle_sent(input.number().into()),
            2 => probe.handle_sent(usize::MAX),
            3 => {
                let mut answer = [0; 20];
                let sequence = input.sequence();
                let length =
                    crate::wire::encode(self.dialect, self.dialect.heartbeat_reply, sequence, &[], &mut answer);
                read(probe, &answer[..length.unwrap()]);
            }
            4 => {
                let _ = probe.commit(input.wide() as usize);
            }
            _ => read(probe, input.bytes()),
        }
        assert!(verdict == Verdict::Pending || probe.verdict() == verdict, "it changed its mind");
        assert!(probe.verdict() != Verdict::Alive || probe.poll_transmit().is_none() && probe.space().is_empty());
        assert!(probe.verdict() != Verdict::Foreign || probe.space().is_empty());
    }
}

fn read(probe: &mut Probe, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let space = probe.space();
        let n = space.len().min(bytes.len());
        if n == 0 {
            return;
        }
        space[..n].copy_from_slice(&bytes[..n]);
        bytes = &bytes[n..];
        assert_eq!(probe.commit(n), probe.verdict());
    }
}

/// Stored bytes are a record or none; what is read has the same bytes again.
fn record(bytes: &[u8]) {
    if let Ok(record) = NetworkRecord::from_bytes(bytes) {
        assert_eq!(record.to_bytes(), bytes);
        assert!(record.interval() >= Heartbeat::SHORTEST && record.interval() <= Heartbeat::LONGEST);
        assert!(record.proven() <= Heartbeat::LONGEST);
        let mut heartbeat = Heartbeat::new(HeartbeatPolicy::Adaptive, Heartbeat::ANSWER_TIMEOUT);
        heartbeat.set_network(Instant::ZERO, record.network(), Some(&record));
        assert_eq!(heartbeat.record(), record);
    }
}
