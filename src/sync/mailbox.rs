use super::{Acked, Epoch, Item};
use core::ops::ControlFlow;

/// What is kept for an account until all its devices have it, as one of these devices sees it.
///
/// A mailbox holds items under keys, each in the order of its vals. Vals of a key only grow within an epoch, from 1 on, and
/// may have gaps. What a device may not see is not there for it; what becomes visible to it later gets a new val.
///
/// # What an implementation has to hold to
///
/// * **A val is handed out only when every smaller one of its key is decided.** A writer that has drawn 5 and has not
///   committed it yet hides 6: [`head`](Self::head) is 4 until then, or who reads 6 now never gets 5.
/// * **Within an epoch vals are never given twice**, not after a crash or a restored backup either: then the epoch changes,
///   to one that was never in force. It belongs to the store, not to a process or a replica.
/// * **An item stays until all live devices have acknowledged it**, unless a limit of size or time is stronger. Then
///   [`floor`](Self::floor) says so, and a device that was below is told of the gap.
/// * A key whose vals step back by nature, such as one that counts seconds, is wrapped: the val is the maximum so far.
///
/// An error of any method ends the answer that is being made: the device is told to come back later, and nothing is lost.
pub trait Mailbox {
    /// What may go wrong in the store.
    type Error;

    /// The epoch that is in force.
    fn epoch(&mut self) -> Result<Epoch, Self::Error>;

    /// The lowest key above `after`, the lowest of all for `None`; `None` if there is none.
    fn next_key(&mut self, after: Option<u16>) -> Result<Option<u16>, Self::Error>;

    /// The newest val of `key` that may be handed out, never below [`floor`](Self::floor); 0 if it never had one.
    fn head(&mut self, key: u16) -> Result<u64, Self::Error>;

    /// Items of `key` up to here are gone; 0 if none are.
    fn floor(&mut self, key: u16) -> Result<u64, Self::Error>;

    /// Gives `each` the items of `key` above `after` and up to its head, in the order of their vals, until it breaks off.
    ///
    /// Returns how far it came: the greatest val up to which every item was given. That is the head when it came to the end,
    /// and also when nothing lies between the last item and the head. A store that had to pass over too much that is
    /// not for this device may stop earlier, and say so; it must have come further than `after`. After `each` broke off the
    /// value does not matter.
    fn read(
        &mut self,
        key: u16,
        after: u64,
        each: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> Result<u64, Self::Error>;

    /// The item at exactly this val, given to `each` with all its bytes; `false` if there is none any more.
    fn find(&mut self, key: u16, val: u64, each: &mut dyn FnMut(Item<'_>)) -> Result<bool, Self::Error>;

    /// The device has stored everything up to these vals: they are to be kept as the maximum of what it said before, unless
    /// it [begins](Acked::begins). Vals that this epoch never had are sorted out already.
    ///
    /// From the first such call on the device counts, for every key that it names or [asks for](Acked::all); one call may
    /// name no key at all. The items that no device needs any more may go. Of a key that appears later nobody has said yet
    /// that it is not wanted, so it counts for every device until [that is said](Acked::is_selection).
    fn acked(&mut self, acked: &Acked<'_>) -> Result<(), Self::Error>;
}
