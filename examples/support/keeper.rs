//! Where the server keeps what it has acknowledged: in a directory of plain files, or in mailboxes.
//!
//! Needs `mailbox`, `store.rs` and `hex.rs` as its sibling modules.

use super::mailbox::{self, Accepted, Mail, View};
use super::store::{self, Name, Store};
use anyhow::Result;
use longlink::delivery::{Epoch, Greeted, Ledger, MessageId, Stale};
use std::path::PathBuf;

/// All devices.
pub(crate) enum Keeper {
    Files(Store),
    /// Mailboxes, and where files go that devices send, if they are taken.
    Mail(Mail, Option<PathBuf>),
}

/// One device's record.
#[derive(Clone)]
pub(crate) enum Record {
    Files(store::Device),
    Mail(mailbox::Device, Option<PathBuf>),
}

impl Keeper {
    /// The record of one device of an account, to greet it and to store its messages. An account may be without a name.
    pub(crate) fn device(&self, account: &str, device: u64) -> Record {
        match self {
            Self::Files(store) => Record::Files(store.device(account, device)),
            Self::Mail(mail, files) => Record::Mail(mail.device(account, device), files.clone()),
        }
    }
}

impl Record {
    /// Whose it is.
    pub(crate) fn name(&self) -> &Name {
        match self {
            Self::Files(device) => device.name(),
            Self::Mail(device, _) => device.name(),
        }
    }

    /// The directory for the transfers of this device, if there is one.
    pub(crate) fn files(&self) -> Option<PathBuf> {
        match self {
            Self::Files(device) => Some(device.files()),
            Self::Mail(device, files) => files.as_ref().map(|files| files.join(store::directory(device.name()))),
        }
    }

    /// The account's mailbox as this device sees it now, if there is one.
    pub(crate) fn mailbox(&self) -> Option<View> {
        match self {
            Self::Files(_) => None,
            Self::Mail(device, _) => Some(device.mailbox()),
        }
    }

    /// Takes the lease for a link, durably. The inner error is the device's, the outer one the disk's.
    pub(crate) fn greet(&self, epoch: Option<Epoch>, link: u32) -> Result<Result<Greeted, Stale>> {
        match self {
            Self::Files(device) => device.greet(epoch, link),
            Self::Mail(device, _) => device.greet(epoch, link),
        }
    }

    /// The lease and the accepted sequences as they are now.
    pub(crate) fn ledger(&self) -> Result<Ledger> {
        match self {
            Self::Files(device) => Ok(device.ledger()),
            Self::Mail(device, _) => device.ledger(),
        }
    }

    /// Stores those of the messages that are new, in one go. After an error none of them is accepted.
    pub(crate) fn accept(&self, messages: &[(MessageId, &[u8])]) -> Result<Accepted> {
        match self {
            Self::Files(device) => Ok(Accepted { outcomes: device.accept(messages)?, ..Accepted::default() }),
            Self::Mail(device, _) => device.accept(messages),
        }
    }
}
