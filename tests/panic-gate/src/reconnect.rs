use crate::outside::{any, duration, flag, keep, now, number};
use longlink::liveness::{Activity, Presence, Reason, Reconnect};

pub fn call_all() {
    presence();
    reconnect();
}

fn presence() {
    let mut presence = Presence::new(any(Activity::Foreground), now());
    keep(any(&mut presence).set(now(), any(Activity::Background)));
    keep(any(&presence).activity());
    keep(any(&presence).since());
    keep(any(&presence).window(now(), number()));
    keep(any(&presence).poll_interval(now(), flag()));
    keep(any(presence) == any(presence));
}

fn reconnect() {
    keep([Reconnect::STABLE_AFTER, Reconnect::MOST_NAMED]);
    let presence = any(Presence::new(Activity::Foreground, now()));
    let mut reconnect = Reconnect::new(u64::from(number()));
    any(&mut reconnect).handle_attempt(now());
    any(&mut reconnect).handle_online(now());
    any(&mut reconnect).handle_settled();
    any(&mut reconnect).handle_down(now(), any(Reason::Named(duration())), &presence);
    any(&mut reconnect).handle_closed(now());
    any(&mut reconnect).hasten(now(), &presence);
    any(&mut reconnect).at_once(now(), &presence);
    any(&mut reconnect).force(now(), &presence);
    keep(any(&reconnect).poll_timeout());
    keep(any(&reconnect).is_stable(now()));
    keep(any(&reconnect).failures());
    keep(any(&reconnect).clone());
    keep(any(Reason::Lost) == any(Reason::Replaced));
}
