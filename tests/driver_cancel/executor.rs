//! A clock whose sleeps wake nobody once they are dropped, and an executor that polls nothing that was not woken.

use super::wire::Wire;
use longlink::Instant;
use longlink::io::task;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A sleep. One that is dropped wakes nobody.
pub(crate) struct Sleep {
    wire: Wire,
    at: Instant,
    number: u64,
}

impl Sleep {
    pub(crate) fn until(wire: &Wire, at: Instant) -> Self {
        let mut state = wire.state();
        state.slept += 1;
        Self { wire: wire.clone(), at, number: state.slept }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.wire.state();
        if self.at <= state.now {
            return Poll::Ready(());
        }
        state.sleeps.insert(self.number, (self.at, cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.wire.state().sleeps.remove(&self.number);
    }
}

impl task::Clock for Wire {
    fn now(&self) -> Instant {
        Self::now(self)
    }

    async fn sleep_until(&self, at: Instant) {
        Sleep::until(self, at).await;
    }
}

/// Remembers that it was woken.
#[derive(Default)]
pub(crate) struct Woken(pub(crate) AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Polls a future when it is woken, `patience` times at most, and on until a write is done that must not be dropped if it
/// `spares` those; between two polls the rest of the world goes on.
/// `go_on` does one thing of that, and is `false` when nothing will ever happen again.
pub(crate) fn execute<F: Future>(
    wire: &Wire,
    mut future: Pin<&mut F>,
    (patience, spares): (usize, bool),
    polls: &mut usize,
    mut go_on: impl FnMut() -> bool,
) -> Option<F::Output> {
    let woken = Arc::new(Woken(true.into()));
    let waker = Waker::from(woken.clone());
    for count in 0.. {
        if count >= patience && !(spares && wire.state().is_writing) {
            break;
        }
        while !woken.0.swap(false, Ordering::SeqCst) {
            assert!(go_on(), "nothing will wake it");
        }
        *polls += 1;
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
    }
    None
}
