//! What only a demonstration needs: lines on the host's terminal, an exit code, and a count.

use core::future::poll_fn;
use core::panic::PanicInfo;
use core::pin::Pin;
use cortex_m_semihosting::debug;

/// A line on the host's standard output. Halts the processor while it is written.
macro_rules! say {
    ($($arguments:tt)*) => { cortex_m_semihosting::hprintln!($($arguments)*) };
}
pub(crate) use say;

/// Ends QEMU, with success or with the reason why not.
pub(crate) fn exit(outcome: Result<(), &str>) {
    match outcome {
        Ok(()) => debug::exit(debug::EXIT_SUCCESS),
        Err(why) => {
            say!("error: {why}");
            debug::exit(debug::EXIT_FAILURE);
        }
    }
}

/// Awaits a future, and counts how often it is polled: so often was its task woken.
pub(crate) async fn counted<F: Future>(mut future: Pin<&mut F>, polls: &mut u32) -> F::Output {
    poll_fn(|cx| {
        *polls += 1;
        future.as_mut().poll(cx)
    })
    .await
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    say!("{info}");
    loop {
        debug::exit(debug::EXIT_FAILURE);
    }
}
