//! What the images have in common: a client's application, and the least of a board that it needs.
//!
//! | image | what is in it |
//! |---|---|
//! | `floor` | the board alone; what the others have beyond it is the library |
//! | `parts` | frames, a heartbeat, one message that is tried again |
//! | `client` | the whole client, without or with the features `sync` and `dialer` |
//! | `measure` | the same application, run in QEMU: how deep its stack gets, how many instructions a message takes |

#![no_std]

pub mod app;
pub mod board;

/// Nothing more is done.
pub fn stop() -> ! {
    loop {
        core::hint::spin_loop();
    }
}
