//! What a message becomes in a mailbox.

use super::super::hex::Hex;
use serde::{Deserialize, Serialize};

/// What others sent to the account.
pub(crate) const RECEIVED: u16 = 1;
/// What the account's own devices sent.
pub(crate) const SENT: u16 = 2;
/// All keys that there are.
pub(crate) const ALL_KEYS: [u16; 2] = [RECEIVED, SENT];

/// An item that holds a message.
pub(crate) const OP_MESSAGE: u8 = 1;

/// The longest account name in bytes.
pub(crate) const LONGEST_NAME: usize = 64;

/// A message, and whom it is for.
pub(crate) struct Letter<'a> {
    pub(crate) from: &'a str,
    pub(crate) to: String,
    text: Option<String>,
    body: &'a [u8],
}

#[derive(Deserialize)]
struct Addressed {
    to: String,
    text: String,
}

/// An item's bytes, to be written.
#[derive(Serialize)]
struct Written<'a> {
    id: u64,
    from: &'a str,
    to: &'a str,
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Hex<'a>>,
}

/// A message that says whom it is for is for nobody else.
pub(crate) fn is_addressed(body: &[u8]) -> bool {
    serde_json::from_slice::<Addressed>(body).is_ok()
}

impl<'a> Letter<'a> {
    /// Reads a message: `{"to":"bob","text":"hi"}`, or anything else, which is a note to oneself. `None` if it is for an
    /// account that there cannot be.
    pub(crate) fn read(from: &'a str, body: &'a [u8]) -> Option<Self> {
        match serde_json::from_slice(body) {
            Ok(Addressed { to, text }) => {
                let is_name = (1..=LONGEST_NAME).contains(&to.len());
                is_name.then_some(Self { from, to, text: Some(text), body })
            }
            Err(_) => {
                let text = str::from_utf8(body).ok().map(String::from);
                Some(Self { from, to: from.into(), text, body })
            }
        }
    }

    /// Whose mailboxes it goes to, and under which keys.
    pub(crate) fn places(&self) -> impl Iterator<Item = (&str, u16)> {
        let received = (self.to != self.from).then_some((self.to.as_str(), RECEIVED));
        received.into_iter().chain([(self.from, SENT)])
    }

    /// The bytes of its item.
    pub(crate) fn to_item(&self, id: u64) -> serde_json::Result<Vec<u8>> {
        let text = self.text.as_deref();
        let body = text.is_none().then_some(Hex(self.body));
        serde_json::to_vec(&Written { id, from: self.from, to: &self.to, text, body })
    }
}
