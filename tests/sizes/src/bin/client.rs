//! The whole client.
#![no_std]
#![no_main]

use core::ptr::addr_of_mut;
use sizes::app::{self, Board, Memory};
use sizes::board::Registers;

static mut MEMORY: Memory = Memory::new();

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let mut board = Registers;
    // SAFETY: lent here, once.
    let memory = unsafe { &mut *addr_of_mut!(MEMORY) };
    if let Ok(mut link) = app::begin(memory, board.now()) {
        loop {
            app::turn(&mut link, &mut board);
            while link.poll_timeout().is_some_and(|at| at > board.now()) {}
        }
    }
    sizes::stop()
}
