use crate::outside::{any, bytes, duration, flag, keep, now, number, short};
use longlink::liveness::{Heartbeat, HeartbeatPolicy, Network, NetworkRecord};

pub fn call_all() {
    heartbeat();
    network();
}

fn heartbeat() {
    keep([Heartbeat::ANSWER_TIMEOUT, Heartbeat::LATE_ANSWER_TIMEOUT, Heartbeat::LEAST_LATE]);
    keep([Heartbeat::SHORTEST, Heartbeat::LONGEST, Heartbeat::FOREGROUND, Heartbeat::SIGNAL, Heartbeat::SIGNALS]);
    let mut heartbeat = Heartbeat::new(any(HeartbeatPolicy::Passive), duration());
    any(&mut heartbeat).handle_connected(now());
    any(&mut heartbeat).handle_disconnected();
    any(&mut heartbeat).handle_sent(now());
    any(&mut heartbeat).handle_received(now());
    any(&mut heartbeat).handle_beat_sent(now(), duration());
    keep(any(&mut heartbeat).handle_answer(now()));
    keep(any(&mut heartbeat).handle_timeout(now()));
    any(&mut heartbeat).beat();
    any(&mut heartbeat).beat_along();
    any(&mut heartbeat).beat_late();
    keep(any(&heartbeat).is_wanted());
    keep(any(&heartbeat).is_awaited());
    keep(any(&heartbeat).late_after());
    keep(any(&heartbeat).is_overdue(now()));
    keep(any(&heartbeat).last_received());
    keep(any(&heartbeat).longest_silence());
    any(&mut heartbeat).handle_idle_limit(short());
    keep(any(&heartbeat).poll_timeout());
    keep(any(&heartbeat).clone());
    any(&mut heartbeat).handle_reset(now());
    any(&mut heartbeat).signal(now());
    any(&mut heartbeat).set_foreground(flag());
    let record = NetworkRecord::from_bytes(bytes()).ok();
    any(&mut heartbeat).set_network(now(), Network::from_number(number()), record.as_ref());
    keep(any(&mut heartbeat).take_learned());
    keep(any(&heartbeat).record());
    keep(any(&heartbeat).interval());
    keep(any(&heartbeat).is_settled());
}

fn network() {
    keep((any(Network::named)(bytes()), Network::UNKNOWN));
    keep(any(Network::from_number(number())).number());
    keep(NetworkRecord::LEN);
    if let Ok(record) = any(NetworkRecord::from_bytes(bytes())) {
        keep(any(record).to_bytes());
        keep(any(record).network());
        keep(any(record).proven());
        keep(any(record).interval());
        keep(any(record).is_settled());
        keep(any(record) == any(record));
    }
}
