//! Who takes part: three accounts with two devices each, whom each device writes to, and what it writes.

use crate::proxy::Random;

/// A device, and whom what it writes is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) account: &'static str,
    pub(crate) device: &'static str,
    pub(crate) to: &'static str,
}

pub(crate) const PARTS: [Part; 6] = [
    Part { account: "ann", device: "phone", to: "bob" },
    Part { account: "ann", device: "tablet", to: "cat" },
    Part { account: "bob", device: "phone", to: "cat" },
    Part { account: "bob", device: "laptop", to: "ann" },
    Part { account: "cat", device: "phone", to: "ann" },
    Part { account: "cat", device: "tablet", to: "bob" },
];

/// The one that is switched off for a while.
pub(crate) const TABLET: usize = 1;
/// The one that sends the photo.
pub(crate) const CAMERA: usize = 4;

impl Part {
    /// As people say it.
    pub(crate) fn name(&self) -> String {
        let Self { account, device, .. } = self;
        let (first, rest) = account.split_at(1);
        format!("{}{rest}'s {device}", first.to_uppercase())
    }

    /// As files are called.
    pub(crate) fn label(&self) -> String {
        format!("{}-{}", self.account, self.device)
    }

    /// Its message of this number.
    pub(crate) fn text(&self, number: usize, random: &mut Random) -> String {
        let count = 4 + random.below(12);
        let words: Vec<_> = (0..count).map(|_| WORDS[random.below(WORDS.len() as u64) as usize]).collect();
        format!("{} {number}: {}", self.label(), words.join(" "))
    }

    /// Whether what `from` writes has to be on this device in the end.
    pub(crate) fn gets(&self, from: &Self) -> bool {
        self.account == from.account || self.account == from.to
    }
}

const WORDS: [&str; 16] = [
    "see", "you", "at", "the", "station", "five", "late", "again", "bring", "bread", "and", "umbrella", "\u{2615}",
    "tomorrow", "maybe", "yes",
];
