//! What there is without the library: the board, and a loop that uses all of it.
#![no_std]
#![no_main]

use longlink::Instant;
use sizes::app::Board;
use sizes::board::Registers;

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let (mut board, mut buffer) = (Registers, [0; 64]);
    loop {
        let n = board.read(&mut buffer);
        board.store(buffer.get(..n).unwrap_or_default());
        if board.now() == Instant::ZERO && board.dial(1) {
            board.hang_up();
        }
    }
}
