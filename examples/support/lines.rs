//! What there is to send: texts that are given, and lines that are read as fast as they can be sent.
//!
//! Needs `bell.rs` as its sibling module.

use super::bell::Doorbell;
use serde_json::json;
use std::collections::VecDeque;
use std::io::{BufRead, Read, Result};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;

/// What is to be sent, in order.
pub(crate) struct Input {
    next: VecDeque<Line>,
    lines: Option<Receiver<Line>>,
}

/// One message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Text(Vec<u8>),
    /// It has so many bytes, which were skipped.
    TooLong(usize),
    /// Nothing more can be read.
    Broken(String),
}

impl Input {
    /// These texts.
    pub(crate) fn new(texts: impl IntoIterator<Item = String>) -> Self {
        Self { next: texts.into_iter().map(|text| Line::Text(text.into_bytes())).collect(), lines: None }
    }

    /// And then the lines of `reader`, none longer than `longest`. Few are read ahead; the `bell` says when there are more.
    pub(crate) fn and_lines(self, mut reader: impl BufRead + Send + 'static, longest: usize, bell: Doorbell) -> Self {
        /// What is read ahead is lost if the process is killed.
        const AHEAD: usize = 64;
        let (sender, lines) = mpsc::sync_channel(AHEAD);
        thread::spawn(move || {
            loop {
                let line = match read_line(&mut reader, longest) {
                    Ok(Some(line)) => line,
                    Ok(None) => break,
                    Err(error) => Line::Broken(error.to_string()),
                };
                let is_broken = matches!(line, Line::Broken(_));
                // Waits for room.
                if sender.send(line).is_err() || is_broken {
                    break;
                }
                bell.ring();
            }
            drop(sender);
            bell.ring();
        });
        Self { lines: Some(lines), ..self }
    }

    /// The next message, if there is one by now.
    pub(crate) fn next(&mut self) -> Option<Line> {
        if self.next.is_empty() {
            match self.lines.as_ref()?.try_recv() {
                Ok(line) => return Some(line),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => self.lines = None,
            }
        }
        self.next.pop_front()
    }

    /// A message could not be sent yet.
    pub(crate) fn put_back(&mut self, line: Line) {
        self.next.push_front(line);
    }

    /// There was more to send.
    pub(crate) fn is_over(&self) -> bool {
        self.next.is_empty() && self.lines.is_none()
    }
}

/// A text as a message that says whom it is for.
pub(crate) fn addressed(to: &str, text: &str) -> Vec<u8> {
    json!({"to": to, "text": text}).to_string().into_bytes()
}

/// A line without its end; `None` behind the last one. Of one that is too long no more is kept than is allowed.
fn read_line(reader: &mut impl BufRead, longest: usize) -> Result<Option<Line>> {
    let (mut line, ending) = (Vec::new(), 2);
    let most = longest.saturating_add(ending);
    if reader.by_ref().take(most as u64).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    let mut skipped = 0_usize;
    if line.pop_if(|byte| *byte == b'\n').is_some() {
        line.pop_if(|byte| *byte == b'\r');
    } else if line.len() == most {
        skipped = reader.skip_until(b'\n')?;
    }
    let length = line.len().saturating_add(skipped);
    Ok(Some(if length > longest { Line::TooLong(length) } else { Line::Text(line) }))
}
