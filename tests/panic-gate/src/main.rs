//! A firmware-like image that calls all of longlink's interface, and links only if none of it can panic.
//!
//! ```text
//! cargo build --release --target thumbv7em-none-eabihf              # opt-level "s"
//! cargo build --profile smallest --target thumbv7em-none-eabihf     # opt-level "z"
//! cargo build --release --target thumbv7em-none-eabihf --features prove     # must not link
//! ```
//!
//! The panic handler calls a function that does not exist. The optimizer removes the handler where nothing can panic; where
//! something can, the linker says `undefined symbol: longlink_may_panic`. The image is made to be linked, not to be run.
//!
//! Every argument comes from `outside`, and every value is passed through `any` before a method of it is called,
//! so that a check is only removed if it can never fail, whatever was called before and in whatever order. Each module of
//! the library has one here, in the library's own order. **A new public function gets a line in it**: nothing else notices
//! that it is missing. `Debug`, `Display` and `Hash` are left out: what they call is `core`'s, which panics in places.
//!
//! # Who panics?
//!
//! Let the linker go on, and look in the disassembly for what calls `core::panicking`, and what calls that:
//!
//! ```text
//! rustup component add llvm-tools
//! RUSTFLAGS='-C link-arg=--warn-unresolved-symbols' cargo build --release --target thumbv7em-none-eabihf
//! $(rustc --print sysroot)/lib/rustlib/*/bin/llvm-objdump -d --demangle target/thumbv7em-none-eabihf/release/panic-gate
//! ```

#![no_std]
#![no_main]

mod candidates;
mod delivery;
mod dialing;
mod io;
mod liveness;
mod outside;
mod reconnect;
mod session;
mod sync;
mod sync_client;
mod sync_server;
mod time;
mod transfer;
mod wire;

use core::panic::PanicInfo;

/// Where the linker starts to look for what is used.
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    loop {
        time::call_all();
        wire::call_all();
        delivery::call_all();
        transfer::call_all();
        liveness::call_all();
        candidates::call_all();
        reconnect::call_all();
        sync::call_all();
        sync_client::call_all();
        sync_server::call_all();
        session::call_all();
        dialing::call_all();
        io::call_all();
        #[cfg(feature = "prove")]
        outside::keep([1, 2, 3][outside::size()]);
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        safe fn longlink_may_panic() -> !;
    }
    longlink_may_panic()
}
