//! The module's functions, and the static memory that they work in: all that is raw.
#![allow(unsafe_code)]

use crate::{Memory, Session};
use core::cell::RefCell;
use core::panic::PanicInfo;
use longlink::Instant;

/// What only one thread uses.
struct Local<T>(T);

// SAFETY: the module is built without threads, so nobody shares anything.
unsafe impl<T> Sync for Local<T> {}

static mut MEMORY: Memory = Memory::new();
static SESSION: Local<RefCell<Option<Session>>> = Local(RefCell::new(None));

/// Begins, once. 1 if there is a client now, which is connected and greets.
#[unsafe(no_mangle)]
extern "C" fn start(now: f64) -> u32 {
    // Nothing is imported, so no call comes within another: it is never borrowed here.
    let Ok(mut session) = SESSION.0.try_borrow_mut() else { return 0 };
    if session.is_some() {
        return 0;
    }
    // SAFETY: this is reached until there is a session, which then has it and stays; what fails has given it back.
    let memory = unsafe { (&raw mut MEMORY).as_mut() };
    *session = memory.and_then(|memory| Session::start(instant(now), memory));
    session.is_some().into()
}

/// Where the next bytes belong. It is elsewhere after every call of `received`.
#[unsafe(no_mangle)]
extern "C" fn input_ptr() -> *mut u8 {
    with(core::ptr::null_mut(), |session| session.space().as_mut_ptr())
}

/// How many at most; none while what came is not handled.
#[unsafe(no_mangle)]
extern "C" fn input_len() -> usize {
    with(0, |session| session.space().len())
}

/// The first `n` bytes of the input came.
#[unsafe(no_mangle)]
extern "C" fn received(now: f64, n: usize) {
    with((), |session| session.handle_received(instant(now), n));
}

/// The peer sends nothing more.
#[unsafe(no_mangle)]
extern "C" fn ended(now: f64) {
    with((), |session| session.handle_end(instant(now)));
}

/// What is to be written.
#[unsafe(no_mangle)]
extern "C" fn transmit_ptr() -> *const u8 {
    with(core::ptr::null(), |session| session.transmit().as_ptr())
}

/// How much of it there is.
#[unsafe(no_mangle)]
extern "C" fn transmit_len() -> usize {
    with(0, |session| session.transmit().len())
}

/// The first `n` bytes of it are written.
#[unsafe(no_mangle)]
extern "C" fn sent(now: f64, n: usize) {
    with((), |session| session.handle_sent(instant(now), n));
}

/// When to call `timeout`; infinite if nothing is armed.
#[unsafe(no_mangle)]
extern "C" fn next_timeout() -> f64 {
    let at = with(None, |session| session.next_timeout());
    at.map_or(f64::INFINITY, |at| at.as_micros() as f64 / 1_000.0)
}

/// Does what is due.
#[unsafe(no_mangle)]
extern "C" fn timeout(now: f64) {
    with((), |session| session.process(instant(now)));
}

/// The next thing that happened, 0 if there is none: see `Told`.
#[unsafe(no_mangle)]
extern "C" fn event() -> u32 {
    with(0, |session| session.event().what)
}

/// The number that belongs to it.
#[unsafe(no_mangle)]
extern "C" fn event_value() -> u32 {
    with(0, |session| session.last().value)
}

/// Where the body of a message belongs.
#[unsafe(no_mangle)]
extern "C" fn body_ptr() -> *mut u8 {
    with(core::ptr::null_mut(), |session| session.body.as_mut_ptr())
}

/// How long it may be.
#[unsafe(no_mangle)]
extern "C" fn body_len() -> usize {
    with(0, |session| session.body.len())
}

/// Sends a message of `n` bytes. Returns its sequence, 0 if it was not sent.
#[unsafe(no_mangle)]
extern "C" fn send(now: f64, n: usize) -> u32 {
    with(0, |session| session.send(instant(now), n))
}

/// Sends a heartbeat now.
#[unsafe(no_mangle)]
extern "C" fn heartbeat(now: f64) {
    with((), |session| session.heartbeat(instant(now)));
}

/// Closes the link in good order.
#[unsafe(no_mangle)]
extern "C" fn close(now: f64) {
    with((), |session| session.close(instant(now)));
}

/// 1 once the connection is to be ended.
#[unsafe(no_mangle)]
extern "C" fn is_over() -> u32 {
    with(false, Session::is_over).into()
}

/// The connection is gone.
#[unsafe(no_mangle)]
extern "C" fn disconnected(now: f64) {
    with((), |session| session.handle_disconnected(instant(now)));
}

/// Acts on the session; before `start` there is none.
fn with<T>(none: T, act: impl FnOnce(&mut Session) -> T) -> T {
    let mut session = SESSION.0.try_borrow_mut().ok();
    match session.as_deref_mut() {
        Some(Some(session)) => act(session),
        _ => none,
    }
}

/// Casts saturate, so that there is no number which is not a time.
fn instant(now: f64) -> Instant {
    Instant::from_micros((now * 1_000.0) as u64)
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
