use crate::outside::{any, duration, keep, now, short};
use longlink::liveness::{Heartbeat, HeartbeatPolicy};

pub fn call_all() {
    keep([Heartbeat::ANSWER_TIMEOUT, Heartbeat::LATE_ANSWER_TIMEOUT]);
    let mut heartbeat = Heartbeat::new(any(HeartbeatPolicy::Passive), duration());
    any(&mut heartbeat).handle_connected(now());
    any(&mut heartbeat).handle_disconnected();
    any(&mut heartbeat).handle_sent(now());
    any(&mut heartbeat).handle_received(now());
    any(&mut heartbeat).handle_beat_sent(now(), duration());
    keep(any(&mut heartbeat).handle_answer(now()));
    keep(any(&mut heartbeat).handle_timeout(now()));
    any(&mut heartbeat).beat();
    any(&mut heartbeat).beat_late();
    keep(any(&heartbeat).is_wanted());
    keep(any(&heartbeat).is_awaited());
    keep(any(&heartbeat).late_after());
    keep(any(&heartbeat).last_received());
    keep(any(&heartbeat).longest_silence());
    any(&mut heartbeat).handle_idle_limit(short());
    keep(any(&heartbeat).poll_timeout());
    keep(any(&heartbeat).clone());
}
