//! What really was put into the mailbox, and what became of it.

use super::shelf::is_for;
use longlink::sync::Epoch;
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its val is drawn, and nothing is there yet.
    Reserved,
    Ready,
    /// Nothing came for its val, or the val was crowded out before.
    Cancelled,
    /// It was there, and is not kept any more.
    Gone,
}

/// An item, as its writer knows it.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// The same in every epoch.
    pub id: u64,
    pub op: u8,
    pub length: usize,
    pub state: State,
}

impl Record {
    pub fn was_there(&self) -> bool {
        matches!(self.state, State::Ready | State::Gone)
    }
}

/// All that was ever written, by epoch, key and val.
#[derive(Default)]
pub struct Truth {
    books: BTreeMap<(Epoch, u16), BTreeMap<u64, Record>>,
    ids: u64,
}

impl Truth {
    pub fn new_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    pub fn book_mut(&mut self, epoch: Epoch, key: u16) -> &mut BTreeMap<u64, Record> {
        self.books.entry((epoch, key)).or_default()
    }

    pub fn get(&self, epoch: Epoch, key: u16, val: u64) -> Option<&Record> {
        self.books.get(&(epoch, key))?.get(&val)
    }

    /// The keys that were ever used in an epoch.
    pub fn keys(&self, epoch: Epoch) -> impl Iterator<Item = u16> + '_ {
        self.books.keys().filter(move |(of, _)| *of == epoch).map(|(_, key)| *key)
    }

    pub fn all(&self, epoch: Epoch) -> impl Iterator<Item = (u16, u64, &Record)> {
        let books = self.books.iter().filter(move |((of, _), _)| *of == epoch);
        books.flat_map(|((_, key), book)| book.iter().map(|(val, record)| (*key, *val, record)))
    }

    /// What was ever in sight of a device above `after` and up to `to`.
    pub fn between(
        &self,
        epoch: Epoch,
        key: u16,
        (after, to): (u64, u64),
        device: usize,
    ) -> impl Iterator<Item = (u64, &Record)> {
        let book = self.books.get(&(epoch, key)).filter(|_| to > after);
        let records = book.into_iter().flat_map(move |book| book.range(after + 1..=to));
        records
            .map(|(val, record)| (*val, record))
            .filter(move |(_, record)| record.was_there() && is_for(record.op, device))
    }

    /// The newest val below every one that is still undecided.
    pub fn head(&self, epoch: Epoch, key: u16) -> u64 {
        let Some(book) = self.books.get(&(epoch, key)) else { return 0 };
        let sure = book.iter().take_while(|(_, record)| record.state != State::Reserved);
        sure.filter(|(_, record)| record.was_there()).map(|(val, _)| *val).max().unwrap_or(0)
    }

    /// How many are kept.
    pub fn kept(&self, epoch: Epoch) -> usize {
        self.all(epoch).filter(|(.., record)| matches!(record.state, State::Reserved | State::Ready)).count()
    }

    /// The oldest of those that are kept went for want of room.
    pub fn crowd_out_oldest(&mut self, epoch: Epoch) {
        let kept = self.all(epoch).filter(|(.., record)| matches!(record.state, State::Reserved | State::Ready));
        let (_, key, val) = kept.map(|(key, val, record)| (record.id, key, val)).min().unwrap();
        let record = self.book_mut(epoch, key).get_mut(&val).unwrap();
        record.state = if record.state == State::Ready { State::Gone } else { State::Cancelled };
    }
}

/// What is in an item.
pub fn contents(id: u64, length: usize) -> Vec<u8> {
    (0..length as u64).map(|at| (id.wrapping_mul(31) + at * 7 + id / 8) as u8).collect()
}
