//! A device that keeps its cursor by itself, body by body.

use super::bench::{Bench, KEY};
use longlink::sync::{Ack, Epoch, Fetch, FetchReply, FetchStatus, Request, Response};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub struct Phone {
    pub id: u64,
    pub epoch: Option<Epoch>,
    pub vals: BTreeMap<u16, u64>,
    /// `None` for all keys.
    pub wants: Option<Vec<u16>>,
    pub max_items: u16,
    pub max_bytes: u32,
    pub items: Vec<Got>,
    pub gaps: usize,
    pub resets: usize,
    pub rounds: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    pub key: u16,
    pub val: u64,
    pub bytes: Vec<u8>,
    /// 0 if it is whole.
    pub total: u32,
    pub text: String,
}

impl Phone {
    pub fn new(id: u64) -> Self {
        Self {
            id,
            epoch: None,
            vals: BTreeMap::new(),
            wants: None,
            max_items: 100,
            max_bytes: 65_536,
            items: Vec::new(),
            gaps: 0,
            resets: 0,
            rounds: 0,
        }
    }

    /// Asks, and goes on until nothing is left.
    pub fn sync(&mut self, bench: &mut impl Bench) {
        while self.round(bench) {
            assert!(self.rounds < 1_000);
        }
    }

    /// Asks once and stores what comes. `true` if there is more.
    pub fn round(&mut self, bench: &mut impl Bench) -> bool {
        let body = self.ask(bench);
        let Response::Page(page) = Response::decode(&body).unwrap() else { panic!("{body:?}") };
        assert!(body.len() <= self.max_bytes as usize && page.items().len() <= self.max_items.into());
        self.rounds += 1;
        if page.is_reset() {
            self.vals.clear();
            self.resets += 1;
        }
        self.epoch = Some(page.epoch());
        for item in page.items() {
            let text = bench.text(item.bytes);
            let total = item.total.unwrap_or_default();
            self.items.push(Got { key: item.key, val: item.val, bytes: item.bytes.into(), total, text });
        }
        for entry in page.entries() {
            self.gaps += usize::from(entry.has_gap);
            self.resets += usize::from(entry.resets);
            self.vals.insert(entry.key, entry.val);
        }
        page.has_more()
    }

    /// The answer to its request as it is.
    pub fn ask(&self, bench: &mut impl Bench) -> Vec<u8> {
        let mut rows = self.vals.clone();
        if let Some(wants) = &self.wants {
            rows.retain(|key, _| wants.contains(key));
            for key in wants {
                rows.entry(*key).or_insert(0);
            }
        }
        if self.epoch.is_none() {
            rows.values_mut().for_each(|val| *val = 0);
        }
        let mut body = vec![1, u8::from(self.wants.is_none())];
        body.extend((rows.len() as u16).to_be_bytes());
        body.extend(self.epoch.map_or(0, Epoch::get).to_be_bytes());
        body.extend(self.max_items.to_be_bytes());
        body.extend([0; 2]);
        body.extend(self.max_bytes.to_be_bytes());
        body.extend(encode(&rows));
        bench.answer(self.id, &Request::decode(&body).unwrap())
    }

    /// Says what it has stored.
    pub fn acknowledge(&self, bench: &mut impl Bench) {
        let mut body = vec![1, 0];
        body.extend((self.vals.len() as u16).to_be_bytes());
        body.extend(self.epoch.unwrap().get().to_be_bytes());
        body.extend(encode(&self.vals));
        bench.acknowledge(self.id, &Ack::decode(&body).unwrap());
    }

    /// Some bytes of an item; `None` if there is none.
    pub fn fetch(&self, bench: &mut impl Bench, val: u64, offset: u32) -> Option<Vec<u8>> {
        let fetch = Fetch::new(KEY, self.epoch.unwrap(), val, offset, self.max_bytes);
        let body = bench.fetch(self.id, &fetch);
        let reply = FetchReply::decode(&body, &fetch).unwrap();
        (reply.status == FetchStatus::Ok).then(|| reply.bytes.to_vec())
    }

    pub fn val(&self) -> u64 {
        self.vals.get(&KEY).copied().unwrap_or(0)
    }

    pub fn texts(&self) -> Vec<String> {
        self.items.iter().map(|item| item.text.clone()).collect()
    }
}

fn encode(rows: &BTreeMap<u16, u64>) -> Vec<u8> {
    let row = |(key, val): (&u16, &u64)| [&key.to_be_bytes()[..], &[0; 2], &val.to_be_bytes()].concat();
    rows.iter().flat_map(row).collect()
}
