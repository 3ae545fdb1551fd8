//! Frames, a heartbeat and one message that is tried again: three parts of the library, without a session.
#![no_std]
#![no_main]

use core::time::Duration;
use longlink::delivery::{MessagePolicy, Outbox, Slot};
use longlink::liveness::{Heartbeat, HeartbeatPolicy, Pulse};
use longlink::wire::{BufferTooSmall, Decoder, Dialect};
use sizes::app::Board;
use sizes::board::Registers;

const DIALECT: &Dialect = &Dialect::LONGLINK;
const TIMEOUT: Duration = Duration::from_secs(8);

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let mut board = Registers;
    let (mut receive, mut transmit, mut slots) = ([0; 256], [0; 256], [Slot::FREE; 1]);
    let Ok(mut decoder) = Decoder::new(DIALECT, &mut receive[..]) else { sizes::stop() };
    let mut outbox = Outbox::new(DIALECT, &mut transmit, &mut slots);
    let mut heartbeat = Heartbeat::new(HeartbeatPolicy::Fixed(Duration::from_secs(30)), TIMEOUT);
    heartbeat.handle_connected(board.now());
    let _ = outbox.push(board.now(), &MessagePolicy::DEFAULT, (5, false), |_, room| {
        let Some(body) = room.first_chunk_mut() else { return Err(BufferTooSmall { required: 5 }) };
        *body = *b"hello";
        Ok(5)
    });
    loop {
        let now = board.now();
        let n = board.read(decoder.space());
        if n > 0 {
            heartbeat.handle_received(now);
        }
        decoder.commit(n);
        while let Ok(Some(frame)) = decoder.next_frame() {
            if frame.command() == 1_000_000_006 {
                heartbeat.handle_answer(now);
            } else {
                outbox.handle_reply(now, frame.command(), frame.sequence(), frame.body());
            }
        }
        if heartbeat.handle_timeout(now) == Pulse::Dead {
            heartbeat.handle_connected(now);
        }
        if heartbeat.is_wanted() {
            board.write(b"\0\0\0\x10\0\x10\0\x01\0\0\0\x06\0\0\0\0");
            heartbeat.handle_beat_sent(now, Duration::ZERO);
        }
        outbox.handle_timeout(now, heartbeat.last_received());
        let n = board.write(outbox.poll_transmit(false));
        outbox.handle_sent(now, n);
        while let Some((token, ..)) = outbox.poll_ended() {
            board.write(&token.sequence().to_be_bytes());
        }
    }
}
