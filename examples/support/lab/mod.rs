//! A laboratory for heartbeats: networks, devices, and what is seen of them.

#[allow(dead_code)] // Tests do more with it.
pub(crate) mod device;
pub(crate) mod idle;
pub(crate) mod mars;
pub(crate) mod plot;
pub(crate) mod run;
pub(crate) mod table;
