use crate::outside::{any, duration, keep, now, number};
use longlink::{Instant, earliest};

pub fn call_all() {
    let wide = any(u64::from(number()));
    keep(Instant::from_micros(wide));
    keep(Instant::from_millis(wide));
    keep(Instant::from_secs(wide));
    keep(now().as_micros());
    keep(now().micros_since(now()));
    keep(now() + duration());
    keep(now() - now());
    keep(now().max(Instant::MAX));
    keep(earliest([any(None), any(None), Some(now())]));
    keep(earliest([]));
}
