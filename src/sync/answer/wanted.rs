use crate::sync::{Entries, Entry, Mailbox, Request};

/// The keys that a request wants, ascending: those that it names and, if it wants all, those of the mailbox.
pub(super) struct Wanted<'r> {
    named: Entries<'r>,
    /// Of the next that is named.
    bit: u64,
    /// The next key of the mailbox.
    ahead: Option<u16>,
}

/// A key that is wanted.
pub(super) struct Asked {
    pub(super) key: u16,
    /// The device has everything up to here.
    pub(super) val: u64,
    /// Its place among those named, lowest first; 0 if it is not named.
    pub(super) bit: u64,
}

impl<'r> Wanted<'r> {
    pub(super) fn of<M: Mailbox + ?Sized>(request: &Request<'r>, mailbox: &mut M) -> Result<Self, M::Error> {
        let ahead = if request.all { mailbox.next_key(None)? } else { None };
        Ok(Self { named: request.entries, bit: 1, ahead })
    }

    pub(super) fn next<M: Mailbox + ?Sized>(&mut self, mailbox: &mut M) -> Result<Option<Asked>, M::Error> {
        let mut behind = self.named;
        let mut named = behind.next();
        if let Some(ahead) = self.ahead {
            named = named.filter(|entry| entry.key <= ahead);
        }
        let Some(key) = named.map(|entry| entry.key).or(self.ahead) else { return Ok(None) };
        if self.ahead == Some(key) {
            self.ahead = mailbox.next_key(Some(key))?.filter(|next| *next > key);
        }
        let mut asked = Asked { key, val: 0, bit: 0 };
        if let Some(Entry { val, .. }) = named {
            (asked.val, asked.bit) = (val, self.bit);
            self.named = behind;
            self.bit <<= 1;
        }
        Ok(Some(asked))
    }
}
