//! Why an address cannot be used.

use longlink::liveness::Fault;
use std::io::{Error, ErrorKind};

/// Why, for the library and for people.
pub(crate) struct Refused {
    pub(crate) fault: Fault,
    pub(crate) why: String,
}

impl Refused {
    /// What answers is another service.
    pub(crate) fn foreign(why: impl Into<String>) -> Self {
        Self { fault: Fault::Foreign, why: why.into() }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        let fault = match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Fault::Refused,
            // A read that took too long is the one or the other, by platform.
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Fault::Silent,
            // The latter two are what TLS says of a peer that is not whom it should be.
            ErrorKind::BrokenPipe
            | ErrorKind::ConnectionAborted
            | ErrorKind::InvalidData
            | ErrorKind::UnexpectedEof => Fault::Foreign,
            _ => Fault::Unreachable,
        };
        Self { fault, why: error.to_string() }
    }
}
