//! A modem at the UART: one call at a time, to one of the addresses that it knows by number.
//!
//! All bytes are those of the call, but for an escape and the letter behind it:
//!
//! | to the modem | | from the modem | |
//! |---|---|---|---|
//! | `ESC D n` | dial address n | `ESC C` | connected |
//! | `ESC E` | this side ends its stream | `ESC E` | the peer has ended its stream |
//! | `ESC H` | hang up | `ESC F` | hung up: what comes from here on is of the next call |
//! | | | `ESC R` | refused |
//! | | | `ESC N` | no carrier: the call is lost |
//! | `ESC ESC` | the byte `ESC` | `ESC ESC` | the byte `ESC` |
//!
//! ```text
//!           dial             C             E
//!   Free ──────────▶ Dialing ───▶ Open ─────────▶ Ended
//!    ▲                │ R │ N      │ N             │ N
//!    │                ▼   ▼        ▼               │
//!    │          Refused   Lost ◀───────────────────┘
//!    │ F
//!    └──── Clearing ◀──── hang up, from any
//! ```
//!
//! A real one speaks another language, and the states are the same: `AT+QIOPEN`, `CONNECT`, `NO CARRIER`, `+++`.

use crate::board::Uart;
use embedded_io::{ErrorKind, ErrorType, Read, ReadReady, Write, WriteReady};

const ESC: u8 = 0x10;

/// The modem, and as a transport the call that is open.
pub struct Modem {
    uart: Uart,
    state: State,
    /// An escape has come, and not yet what it means.
    is_escaped: bool,
    /// A byte of the call that nobody has read yet.
    held: Option<u8>,
    /// The rest of what is written in two bytes, of which the first fitted.
    owed: Option<u8>,
    wants_room: bool,
}

/// What has become of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum State {
    /// There is none.
    Free,
    Dialing,
    /// There is none: the peer did not want it.
    Refused,
    Open,
    /// The peer has ended its stream. This side may still write.
    Ended,
    /// No carrier.
    Lost,
    /// Hanging up.
    Clearing,
}

impl Modem {
    pub fn new(uart: Uart) -> Self {
        Self { uart, state: State::Free, is_escaped: false, held: None, owed: None, wants_room: false }
    }

    /// Takes in what has come, and returns what has become of the call.
    pub fn poll(&mut self) -> State {
        self.pay();
        while self.held.is_none() {
            let Some(byte) = self.uart.read() else { break };
            self.take(byte);
        }
        self.state
    }

    /// Dials the address with this number, 0 to 9. Only while there is no call.
    pub fn dial(&mut self, number: u16) {
        let digit = b'0'.saturating_add(u8::try_from(number).unwrap_or(u8::MAX));
        self.tell(b'D');
        self.put(digit);
        self.state = State::Dialing;
    }

    /// Ends this side's stream. What the peer still sends can be read.
    pub fn end(&mut self) {
        self.tell(b'E');
    }

    /// Ends the call, whatever state it is in.
    pub fn hang_up(&mut self) {
        if !matches!(self.state, State::Free | State::Clearing) {
            self.tell(b'H');
            (self.state, self.held) = (State::Clearing, None);
        }
    }

    /// Something was not written, because there was no room: worth waking up for when there is.
    pub fn wants_room(&self) -> bool {
        self.wants_room || self.owed.is_some()
    }

    fn take(&mut self, byte: u8) {
        if !self.is_escaped && byte == ESC {
            self.is_escaped = true;
            return;
        }
        let is_letter = core::mem::take(&mut self.is_escaped) && byte != ESC;
        self.state = match (self.state, byte) {
            (state, _) if !is_letter => {
                // Of a call that is over nobody wants to know more.
                self.held = Some(byte).filter(|_| state == State::Open);
                state
            }
            (State::Clearing, b'F') => State::Free,
            (State::Dialing, b'C') => State::Open,
            (State::Dialing, b'R') => State::Refused,
            (State::Open, b'E') => State::Ended,
            (State::Dialing | State::Open | State::Ended, b'N') => State::Lost,
            (state, _) => state,
        };
    }

    /// Few and rare: these wait for room.
    fn tell(&mut self, letter: u8) {
        self.wants_room = false;
        self.put(ESC);
        self.put(letter);
    }

    fn put(&mut self, byte: u8) {
        while !self.pay() || !self.uart.has_room() {}
        self.uart.write(byte);
    }

    /// `true` if nothing is owed any more.
    fn pay(&mut self) -> bool {
        if self.owed.is_some() && self.uart.has_room() {
            self.owed.take().into_iter().for_each(|byte| self.uart.write(byte));
        }
        self.owed.is_none()
    }
}

impl ErrorType for Modem {
    type Error = ErrorKind;
}

impl ReadReady for Modem {
    fn read_ready(&mut self) -> Result<bool, ErrorKind> {
        let state = self.poll();
        Ok(self.held.is_some() || matches!(state, State::Ended | State::Lost))
    }
}

impl Read for Modem {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, ErrorKind> {
        // Waits only for who did not ask.
        while !self.read_ready()? {}
        let mut n = 0_usize;
        for place in buf.iter_mut() {
            let Some(byte) = self.held.take() else { break };
            *place = byte;
            n = n.saturating_add(1);
            self.poll();
        }
        match self.state {
            State::Lost if n == 0 => Err(ErrorKind::ConnectionReset),
            _ => Ok(n),
        }
    }
}

impl WriteReady for Modem {
    fn write_ready(&mut self) -> Result<bool, ErrorKind> {
        let is_ready = self.pay() && self.uart.has_room();
        self.wants_room = !is_ready;
        Ok(is_ready)
    }
}

impl Write for Modem {
    fn write(&mut self, buf: &[u8]) -> Result<usize, ErrorKind> {
        if !matches!(self.poll(), State::Open | State::Ended) {
            return Err(ErrorKind::ConnectionReset);
        }
        while !self.write_ready()? {}
        let mut n = 0_usize;
        for &byte in buf {
            if !self.pay() || !self.uart.has_room() {
                break;
            }
            self.uart.write(byte);
            self.owed = Some(ESC).filter(|_| byte == ESC);
            n = n.saturating_add(1);
        }
        Ok(n)
    }

    /// There is nothing to wait for: the FIFO empties itself.
    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}
