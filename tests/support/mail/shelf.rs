//! Where the items are: the crate's mailbox in a ring, or one that survives the server, both behind one face.

use longlink::Instant;
use longlink::sync::{Acked, Epoch, Item, Mailbox, RingDevice, RingItem, RingKey, RingMailbox, RingMemory};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::ControlFlow;
use std::time::Duration;

/// A mailbox as a device sees it, whatever it is made of.
pub type View<'v> = Box<dyn Mailbox<Error = Infallible> + 'v>;

/// What the server's application does with a mailbox.
pub trait Shelf {
    fn epoch(&self) -> Epoch;
    /// Draws a val; `None` if the item does not fit at all.
    fn reserve(&mut self, key: u16, op: u8, length: usize) -> Option<u64>;
    /// `false` if the val was crowded out.
    fn finish(&mut self, key: u16, val: u64, bytes: &[u8]) -> bool;
    fn cancel(&mut self, key: u16, val: u64) -> bool;
    fn head(&self, key: u16) -> u64;
    fn floor(&self, key: u16) -> u64;
    /// Items, with those that are reserved.
    fn len(&self) -> usize;
    fn expire(&mut self, now: Instant, after: Duration);
    fn remove_device(&mut self, id: u64);
    fn view(&mut self, id: u64, now: Instant) -> View<'_>;
    /// For [`restore`](Self::restore).
    fn snapshot(&self) -> Option<Vault>;
    /// Goes back to a snapshot, in another epoch. `false` if it has none: then it is empty, and the items that were there
    /// are to be put in again.
    fn restore(&mut self, epoch: Epoch, snapshot: Option<&Vault>) -> bool;
}

/// The memory of a ring.
pub struct Room {
    items: Vec<RingItem>,
    bytes: Vec<u8>,
    keys: [RingKey; 4],
    devices: [RingDevice; 4],
    acks: [u64; 16],
}

impl Room {
    pub fn new(items: usize, bytes: usize) -> Self {
        Self {
            items: vec![RingItem::FREE; items],
            bytes: vec![0; bytes],
            keys: [RingKey::FREE; 4],
            devices: [RingDevice::FREE; 4],
            acks: [0; 16],
        }
    }

    pub fn mailbox(&mut self, epoch: Epoch) -> RingMailbox<'_> {
        let Self { items, bytes, keys, devices, acks } = self;
        RingMailbox::new(epoch, RingMemory { items, bytes, keys, devices, acks })
    }
}

impl Shelf for RingMailbox<'_> {
    fn epoch(&self) -> Epoch {
        RingMailbox::epoch(self)
    }

    fn reserve(&mut self, key: u16, op: u8, length: usize) -> Option<u64> {
        RingMailbox::reserve(self, key, op, length).ok()
    }

    fn finish(&mut self, _: u16, val: u64, bytes: &[u8]) -> bool {
        RingMailbox::finish(self, val, bytes).is_ok()
    }

    fn cancel(&mut self, _: u16, val: u64) -> bool {
        RingMailbox::cancel(self, val)
    }

    fn head(&self, key: u16) -> u64 {
        RingMailbox::head(self, key)
    }

    fn floor(&self, key: u16) -> u64 {
        RingMailbox::floor(self, key)
    }

    fn len(&self) -> usize {
        RingMailbox::len(self) as usize
    }

    fn expire(&mut self, now: Instant, after: Duration) {
        RingMailbox::expire(self, now, after);
    }

    fn remove_device(&mut self, id: u64) {
        RingMailbox::remove_device(self, id);
    }

    fn view(&mut self, id: u64, now: Instant) -> View<'_> {
        Box::new(self.device(id, now))
    }

    fn snapshot(&self) -> Option<Vault> {
        None
    }

    fn restore(&mut self, epoch: Epoch, _: Option<&Vault>) -> bool {
        self.begin(epoch);
        false
    }
}

/// A mailbox of which snapshots can be taken. Every key has vals of its own.
#[derive(Clone, Debug)]
pub struct Vault {
    epoch: Epoch,
    keys: BTreeMap<u16, Drawer>,
    devices: BTreeMap<u64, Seen>,
    /// So many items are kept.
    most: usize,
    serial: u64,
}

#[derive(Clone, Debug, Default)]
struct Drawer {
    drawn: u64,
    head: u64,
    floor: u64,
    /// By val: what was drawn when, and what is there, if anything is yet.
    items: BTreeMap<u64, (u64, u8, Option<Vec<u8>>)>,
}

#[derive(Clone, Debug)]
struct Seen {
    at: Instant,
    all: bool,
    vals: BTreeMap<u16, u64>,
}

impl Drawer {
    fn advance(&mut self) {
        for (val, (.., bytes)) in &self.items {
            if bytes.is_none() {
                return;
            }
            self.head = self.head.max(*val);
        }
    }

    fn take(&mut self, val: u64) -> bool {
        let Some((.., bytes)) = self.items.remove(&val) else { return false };
        if bytes.is_some() {
            self.floor = self.floor.max(val);
            self.head = self.head.max(val);
        }
        self.advance();
        true
    }
}

impl Vault {
    pub fn new(epoch: Epoch, most: usize) -> Self {
        Self { epoch, keys: BTreeMap::new(), devices: BTreeMap::new(), most, serial: 0 }
    }

    fn collect(&mut self) {
        for (key, drawer) in &mut self.keys {
            let wants = self.devices.values().filter_map(|device| match device.vals.get(key) {
                None if device.all => Some(0),
                val => val.copied(),
            });
            let lowest = wants.min().unwrap_or(0).min(drawer.head);
            let gone: Vec<u64> = drawer.items.range(..=lowest).map(|(val, _)| *val).collect();
            for val in gone {
                drawer.take(val);
            }
        }
    }
}

impl Shelf for Vault {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn reserve(&mut self, key: u16, op: u8, _: usize) -> Option<u64> {
        while Shelf::len(self) >= self.most {
            let all =
                self.keys.iter().flat_map(|(key, drawer)| drawer.items.iter().map(|item| (item.1.0, *key, *item.0)));
            let (_, key, val) = all.min()?;
            self.keys.get_mut(&key)?.take(val);
        }
        if !self.keys.contains_key(&key) {
            for device in self.devices.values_mut() {
                device.vals.insert(key, 0);
            }
        }
        self.serial += 1;
        let drawer = self.keys.entry(key).or_default();
        drawer.drawn += 1 + self.serial % 3;
        drawer.items.insert(drawer.drawn, (self.serial, op, None));
        Some(drawer.drawn)
    }

    fn finish(&mut self, key: u16, val: u64, bytes: &[u8]) -> bool {
        let Some(drawer) = self.keys.get_mut(&key) else { return false };
        let Some(item) = drawer.items.get_mut(&val) else { return false };
        item.2 = Some(bytes.to_vec());
        drawer.advance();
        true
    }

    fn cancel(&mut self, key: u16, val: u64) -> bool {
        self.keys.get_mut(&key).is_some_and(|drawer| drawer.take(val))
    }

    fn head(&self, key: u16) -> u64 {
        self.keys.get(&key).map_or(0, |drawer| drawer.head)
    }

    fn floor(&self, key: u16) -> u64 {
        self.keys.get(&key).map_or(0, |drawer| drawer.floor)
    }

    fn len(&self) -> usize {
        self.keys.values().map(|drawer| drawer.items.len()).sum()
    }

    fn expire(&mut self, now: Instant, after: Duration) {
        self.devices.retain(|_, device| now - device.at < after);
        self.collect();
    }

    fn remove_device(&mut self, id: u64) {
        self.devices.remove(&id);
        self.collect();
    }

    fn view(&mut self, id: u64, now: Instant) -> View<'_> {
        Box::new(VaultView { vault: self, id, now })
    }

    fn snapshot(&self) -> Option<Vault> {
        Some(self.clone())
    }

    fn restore(&mut self, epoch: Epoch, snapshot: Option<&Vault>) -> bool {
        let Some(snapshot) = snapshot else { return false };
        *self = Self { epoch, ..snapshot.clone() };
        // What they have said was of another epoch, and whoever had drawn a val is gone.
        for device in self.devices.values_mut() {
            device.vals.values_mut().for_each(|val| *val = 0);
        }
        for drawer in self.keys.values_mut() {
            drawer.items.retain(|_, item| item.2.is_some());
            drawer.advance();
        }
        true
    }
}

struct VaultView<'v> {
    vault: &'v mut Vault,
    id: u64,
    now: Instant,
}

impl Mailbox for VaultView<'_> {
    type Error = Infallible;

    fn epoch(&mut self) -> Result<Epoch, Infallible> {
        Ok(self.vault.epoch)
    }

    fn next_key(&mut self, after: Option<u16>) -> Result<Option<u16>, Infallible> {
        Ok(self.vault.keys.keys().copied().find(|key| after.is_none_or(|after| *key > after)))
    }

    fn head(&mut self, key: u16) -> Result<u64, Infallible> {
        Ok(Shelf::head(self.vault, key))
    }

    fn floor(&mut self, key: u16) -> Result<u64, Infallible> {
        Ok(Shelf::floor(self.vault, key))
    }

    fn read(
        &mut self,
        key: u16,
        after: u64,
        each: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> Result<u64, Infallible> {
        let Some(drawer) = self.vault.keys.get(&key) else { return Ok(after) };
        for (val, (_, op, bytes)) in drawer.items.range(after + 1..=drawer.head.max(after + 1)) {
            let Some(bytes) = bytes else { break };
            if each(Item::new(key, *val, *op, bytes)).is_break() {
                break;
            }
        }
        Ok(drawer.head)
    }

    fn find(&mut self, key: u16, val: u64, each: &mut dyn FnMut(Item<'_>)) -> Result<bool, Infallible> {
        let Some(drawer) = self.vault.keys.get(&key).filter(|drawer| val <= drawer.head) else { return Ok(false) };
        let Some((_, op, Some(bytes))) = drawer.items.get(&val) else { return Ok(false) };
        each(Item::new(key, val, *op, bytes));
        Ok(true)
    }

    fn acked(&mut self, acked: &Acked<'_>) -> Result<(), Infallible> {
        let new = Seen { at: self.now, all: false, vals: BTreeMap::new() };
        let device = self.vault.devices.entry(self.id).or_insert(new);
        device.at = self.now;
        if acked.begins() {
            device.vals.values_mut().for_each(|val| *val = 0);
        }
        if acked.is_selection() {
            device.all = acked.all();
            if !device.all {
                device.vals.retain(|key, _| acked.vals().any(|(named, _)| named == *key));
            }
        }
        for (key, val) in acked.vals() {
            let kept = device.vals.entry(key).or_default();
            *kept = val.max(*kept);
        }
        self.vault.collect();
        Ok(())
    }
}

/// The store of the server failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// What a device is let to see, through a store that fails now and then.
pub struct Desk<'s> {
    pub view: View<'s>,
    /// The device's number.
    pub device: usize,
    /// Items that are not for it which one read passes over.
    pub scan: usize,
    /// The call that fails, counted down; 0 for none.
    pub fails: &'s mut u32,
}

/// `true` if an item with this op is for the device.
pub fn is_for(op: u8, device: usize) -> bool {
    op == 0 || usize::from(op) == device + 1
}

impl Desk<'_> {
    fn call(&mut self) -> Result<(), Broken> {
        let last = *self.fails == 1;
        *self.fails = self.fails.saturating_sub(1);
        if last { Err(Broken) } else { Ok(()) }
    }
}

fn sure<T>(result: Result<T, Infallible>) -> T {
    match result {
        Ok(value) => value,
        Err(never) => match never {},
    }
}

impl Mailbox for Desk<'_> {
    type Error = Broken;

    fn epoch(&mut self) -> Result<Epoch, Broken> {
        self.call()?;
        Ok(sure(self.view.epoch()))
    }

    fn next_key(&mut self, after: Option<u16>) -> Result<Option<u16>, Broken> {
        self.call()?;
        Ok(sure(self.view.next_key(after)))
    }

    fn head(&mut self, key: u16) -> Result<u64, Broken> {
        self.call()?;
        Ok(sure(self.view.head(key)))
    }

    fn floor(&mut self, key: u16) -> Result<u64, Broken> {
        self.call()?;
        Ok(sure(self.view.floor(key)))
    }

    fn read(&mut self, key: u16, after: u64, each: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>) -> Result<u64, Broken> {
        self.call()?;
        let (device, scan) = (self.device, self.scan);
        let (mut passed, mut stopped) = (0, None);
        let reached = sure(self.view.read(key, after, &mut |item| {
            if is_for(item.op, device) {
                return each(item);
            }
            passed += 1;
            if passed < scan {
                return ControlFlow::Continue(());
            }
            stopped = Some(item.val);
            ControlFlow::Break(())
        }));
        Ok(stopped.unwrap_or(reached))
    }

    fn find(&mut self, key: u16, val: u64, each: &mut dyn FnMut(Item<'_>)) -> Result<bool, Broken> {
        self.call()?;
        let device = self.device;
        let mut found = false;
        sure(self.view.find(key, val, &mut |item| {
            found = is_for(item.op, device);
            if found {
                each(item);
            }
        }));
        Ok(found)
    }

    fn acked(&mut self, acked: &Acked<'_>) -> Result<(), Broken> {
        self.call()?;
        sure(self.view.acked(acked));
        Ok(())
    }
}
