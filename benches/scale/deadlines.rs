//! Which of many links is due next: each has one deadline, and each frame moves it.
//!
//! Two ways to know it. An ordered set of (deadline, link) takes O(log n) steps for a move and for the first one. tokio's
//! timer, which the example `tokio_server` has one of for each link, is a wheel of wheels: a move takes the same however many
//! there are.

use longlink::Instant;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// A link that is idle for so long is closed.
const IDLE: Duration = Duration::from_secs(900);

/// How the next deadline is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    OrderedSet,
    TokioTimer,
}

impl Way {
    pub(crate) const ALL: [Self; 2] = [Self::OrderedSet, Self::TokioTimer];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::OrderedSet => "ordered set",
            Self::TokioTimer => "tokio's timer",
        }
    }

    /// Its place among [`ALL`](Self::ALL), as text.
    pub(crate) fn index(self) -> String {
        u8::from(self == Self::TokioTimer).to_string()
    }

    /// Gives each of so many links a deadline, and moves so many of them, asking for the first each time. `at` is called before
    /// the moves, and with `true` after them.
    pub(crate) fn run(self, links: usize, moves: usize, mut at: impl FnMut(bool)) {
        match self {
            Self::OrderedSet => {
                let mut deadlines = Deadlines::new(links);
                at(false);
                for step in 0..moves {
                    let due = Instant::from_secs(2) + IDLE + Duration::from_micros(step as u64);
                    deadlines.set(crate::scattered(step, links), due);
                    assert!(deadlines.next().is_some());
                }
                at(true);
            }
            Self::TokioTimer => run_tokio(links, moves, at),
        }
    }
}

/// The deadline of each link, and their order.
struct Deadlines {
    of: Vec<Instant>,
    order: BTreeSet<(Instant, u32)>,
}

impl Deadlines {
    /// As if the links had come one after the other within a second.
    fn new(links: usize) -> Self {
        let at = |link| Instant::from_secs(1) + IDLE + Duration::from_secs(1) * link / u32::try_from(links).unwrap();
        let of: Vec<_> = (0..).map(at).take(links).collect();
        let order = of.iter().copied().zip(0..).collect();
        Self { of, order }
    }

    #[inline(never)]
    fn set(&mut self, link: usize, at: Instant) {
        let index = u32::try_from(link).unwrap();
        let before = std::mem::replace(&mut self.of[link], at);
        assert!(self.order.remove(&(before, index)));
        self.order.insert((at, index));
    }

    #[inline(never)]
    fn next(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }
}

fn run_tokio(links: usize, moves: usize, mut at: impl FnMut(bool)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut timers: Vec<Pin<Box<Sleep>>> = Vec::new();
    runtime.block_on(poll_fn(|cx| {
        timers = (0..links).map(|_| Box::pin(sleep(IDLE))).collect();
        timers.iter_mut().for_each(|timer| arm(timer, cx));
        Poll::Ready(())
    }));
    at(false);
    runtime.block_on(poll_fn(|cx| {
        for step in 0..moves {
            let timer = &mut timers[crate::scattered(step, links)];
            timer.as_mut().reset(tokio::time::Instant::now() + IDLE);
            arm(timer, cx);
        }
        Poll::Ready(())
    }));
    at(true);
}

fn arm(timer: &mut Pin<Box<Sleep>>, cx: &mut Context<'_>) {
    assert!(timer.as_mut().poll(cx).is_pending());
}
