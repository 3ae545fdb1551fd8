//! Pages to read, for those who write a peer, come from another protocol, or have to answer for what is deployed. There is
//! no code in here, and nothing of it in a build.
//!
//! | page | for whom |
//! |---|---|
//! | [`protocol`] | who writes a client or a server in another language, or wants to know what is on the wire: every byte, every code, what each side must do, with frames in hex |
//! | [`mqtt`] | who knows MQTT: what corresponds to what, what is done otherwise, what is not there |
//! | [`mars`] | who knows Tencent Mars, or has servers that speak its long link |
//! | [`threats`] | who has to know what a peer, a network or a stolen device can do, and what is left to the application |
//!
//! The [front page](crate) has the picture and the loop; the modules are chapters of their own.

#[doc = include_str!("protocol.md")]
pub mod protocol {}

#[doc = include_str!("mqtt.md")]
pub mod mqtt {}

#[doc = include_str!("mars.md")]
pub mod mars {}

#[doc = include_str!("threats.md")]
pub mod threats {}
