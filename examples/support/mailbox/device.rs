//! One device: its greeting and its messages, each in one transaction.

use super::super::store::{Name, Outcome, judge};
use super::item::{Letter, OP_MESSAGE};
use super::{ACCOUNTS, ITEMS, KEYS, LEDGERS, META, Mail, READERS, SILENCE, View};
use anyhow::{Context, Result};
use longlink::delivery::{Epoch, Greeted, Ledger, MessageId, Stale};
use redb::{ReadableDatabase, ReadableTable, Table, WriteTransaction};
use std::collections::BTreeMap;

/// One device's record. Whoever writes to it is alone with all mailboxes meanwhile.
#[derive(Clone)]
pub(crate) struct Device {
    mail: Mail,
    name: Name,
}

/// What became of messages.
#[derive(Debug, Default)]
pub(crate) struct Accepted {
    pub(crate) outcomes: Vec<Outcome>,
    /// The newest vals of the accounts and keys that have more now.
    pub(crate) heads: BTreeMap<(String, u16), u64>,
}

impl Device {
    pub(super) fn new(mail: Mail, account: &str, device: u64) -> Self {
        Self { mail, name: (account.into(), device) }
    }

    /// Whose it is.
    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    /// The account's mailbox as it is now, as this device sees it.
    pub(crate) fn mailbox(&self) -> View {
        View::new(self.mail.clone(), self.name.clone())
    }

    /// The lease and the accepted sequences as they are now, for the answer to a greeting.
    pub(crate) fn ledger(&self) -> Result<Ledger> {
        load(&self.mail.0.db.begin_read()?.open_table(LEDGERS)?, &self.name)
    }

    /// Takes the lease for a link, durably: no older link of the device stores anything from here on. With `None` for
    /// the epoch, the device is given one. The inner error is the device's, the outer one the disk's.
    pub(crate) fn greet(&self, epoch: Option<Epoch>, link: u32) -> Result<Result<Greeted, Stale>> {
        let now = self.mail.now();
        let txn = self.mail.0.db.begin_write()?;
        let mut ledgers = txn.open_table(LEDGERS)?;
        let mut ledger = load(&ledgers, &self.name)?;
        let greeted = match ledger.greet(epoch, link) {
            Ok(greeted) => greeted,
            Err(stale) => return Ok(Err(stale)),
        };
        if ledgers.get(self.key())?.is_none() {
            // No client tries a message for so long. Those of other accounts are not looked at: a new device costs what its
            // own account has.
            let account = (self.name.0.as_str(), 0)..=(self.name.0.as_str(), u64::MAX);
            ledgers.retain_in(account, |_, (_, seen)| now.saturating_sub(seen) <= SILENCE.as_secs())?;
        }
        save(&mut ledgers, &self.name, &ledger, now)?;
        drop(ledgers);
        self.see(&txn, now)?;
        txn.commit()?;
        Ok(Ok(greeted))
    }

    /// Stores those of the messages that are new, in one transaction, and says what became of each. They are in the order
    /// in which they came. After an error none of them is accepted.
    pub(crate) fn accept(&self, messages: &[(MessageId, &[u8])]) -> Result<Accepted> {
        let mut accepted = Accepted::default();
        let txn = self.mail.0.db.begin_write()?;
        let mut ledgers = txn.open_table(LEDGERS)?;
        let mut ledger = load(&ledgers, &self.name)?;
        let mut post = Post::open(&txn, &self.mail)?;
        for (id, body) in messages {
            let Some(letter) = Letter::read(&self.name.0, body) else {
                accepted.outcomes.push(Outcome::Refused);
                continue;
            };
            let outcome = judge(&mut ledger, id);
            if outcome == Outcome::Stored {
                post.deliver(&letter, &mut accepted.heads)?;
            }
            accepted.outcomes.push(outcome);
        }
        drop(post);
        if accepted.heads.is_empty() {
            return Ok(accepted);
        }
        save(&mut ledgers, &self.name, &ledger, self.mail.now())?;
        drop(ledgers);
        for account in accepted.heads.keys().map(|(account, _)| account) {
            self.mail.shed(&txn, account)?;
        }
        txn.commit()?;
        Ok(accepted)
    }

    /// A device that counts for retention is not silent.
    fn see(&self, txn: &WriteTransaction, now: u64) -> Result<()> {
        let mut readers = txn.open_table(READERS)?;
        let wants_all = readers.get(self.key())?.map(|reader| reader.value().1);
        if let Some(wants_all) = wants_all {
            readers.insert(self.key(), (now, wants_all))?;
        }
        Ok(())
    }

    fn key(&self) -> (&str, u64) {
        (&self.name.0, self.name.1)
    }
}

/// What a device never seen has is an empty ledger.
fn load(ledgers: &impl ReadableTable<(&'static str, u64), (&'static [u8], u64)>, name: &Name) -> Result<Ledger> {
    let stored = ledgers.get((name.0.as_str(), name.1))?;
    stored.map_or(Ok(Ledger::new()), |stored| Ledger::read(stored.value().0).context("a ledger that makes no sense"))
}

fn save(
    ledgers: &mut Table<'_, (&'static str, u64), (&'static [u8], u64)>,
    (account, device): &Name,
    ledger: &Ledger,
    now: u64,
) -> Result<()> {
    let mut bytes = [0; <Ledger>::LEN];
    ledger.write(&mut bytes)?;
    ledgers.insert((account.as_str(), *device), (&bytes[..], now))?;
    Ok(())
}

/// The tables that a message goes to.
struct Post<'t> {
    epoch: u32,
    meta: Table<'t, &'static str, u64>,
    accounts: Table<'t, &'static str, (u64, u64, u64)>,
    keys: Table<'t, (&'static str, u16), (u64, u64)>,
    items: Table<'t, (&'static str, u16, u64), &'static [u8]>,
}

impl<'t> Post<'t> {
    fn open(txn: &'t WriteTransaction, mail: &Mail) -> Result<Self> {
        Ok(Self {
            epoch: mail.epoch().get(),
            meta: txn.open_table(META)?,
            accounts: txn.open_table(ACCOUNTS)?,
            keys: txn.open_table(KEYS)?,
            items: txn.open_table(ITEMS)?,
        })
    }

    /// Puts a message into the mailboxes of both sides, and notes their heads.
    fn deliver(&mut self, letter: &Letter<'_>, heads: &mut BTreeMap<(String, u16), u64>) -> Result<()> {
        let bytes = letter.to_item(self.draw_id()?)?;
        for (account, key) in letter.places() {
            let (last, count, length) = self.accounts.get(account)?.map_or((0, 0, 0), |account| account.value());
            let val = last.checked_add(1).context("no val is left")?;
            self.items.insert((account, key, val), bytes.as_slice())?;
            let length = length.saturating_add(bytes.len() as u64);
            self.accounts.insert(account, (val, count.saturating_add(1), length))?;
            let floor = self.keys.get((account, key))?.map_or(0, |key| key.value().1);
            self.keys.insert((account, key), (val, floor))?;
            heads.insert((account.into(), key), val);
        }
        Ok(())
    }

    fn draw_id(&mut self) -> Result<u64> {
        let number = self.meta.get("items")?.map_or(0, |number| number.value()).saturating_add(1);
        let low = u32::try_from(number).context("the epoch has named all the items that it can")?;
        self.meta.insert("items", number)?;
        Ok(u64::from(self.epoch) << 32 | u64::from(low))
    }
}

/// What is done with every item here.
pub(super) const OP: u8 = OP_MESSAGE;
