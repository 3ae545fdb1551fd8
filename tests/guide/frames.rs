//! The frames on the protocol page.

use crate::PROTOCOL;
use crate::bodies::{Asked, Described};

/// The hex of a frame and what the page says beside it, a line for each field.
#[derive(Clone, Debug)]
pub struct Block {
    title: String,
    lines: Vec<(String, String)>,
}

impl Block {
    pub fn bytes(&self) -> Vec<u8> {
        let digits: String = self.lines.iter().flat_map(|(hex, _)| hex.split(' ')).collect();
        let pair = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        (0..digits.len()).step_by(2).map(pair).collect()
    }

    pub fn is_from_client(&self) -> bool {
        self.title.starts_with("client")
    }

    /// As the page is to show it, if this is what the library says.
    fn of(described: &Described, bytes: &[u8], from: &str) -> String {
        let mut text = format!("{from}: {}\n", described.name);
        let mut at = 0;
        for (widths, what) in &described.fields {
            let mut hex = Vec::new();
            for width in widths {
                let end = bytes.len().min(at + width);
                hex.push(bytes[at..end].iter().map(|byte| format!("{byte:02x}")).collect::<String>());
                at = end;
            }
            text += &format!("  {:<16}  {what}\n", hex.join(" "));
        }
        if at < bytes.len() {
            text += "  ...\n";
        }
        text
    }

    fn text(&self) -> String {
        let lines = self.lines.iter().map(|(hex, what)| format!("  {hex:<16}  {what}\n"));
        format!("{}\n{}", self.title, lines.collect::<String>())
    }
}

/// All blocks of frames on the page: fenced, and begun by who sends it.
fn all() -> impl Iterator<Item = Block> {
    of(PROTOCOL)
}

/// Those of one section.
pub fn under(heading: &str) -> impl Iterator<Item = Block> {
    let (_, section) = PROTOCOL.split_once(&format!("\n# {heading}\n")).unwrap();
    of(section.split("\n# ").next().unwrap())
}

fn of(text: &'static str) -> impl Iterator<Item = Block> {
    text.split("\n```text\n").skip(1).map(|block| block.split("\n```").next().unwrap()).flat_map(|fence| {
        let mut blocks: Vec<Block> = Vec::new();
        for line in fence.lines() {
            if line.starts_with("client: ") || line.starts_with("server: ") {
                blocks.push(Block { title: line.to_owned(), lines: Vec::new() });
            } else if let (Some(block), Some((hex, what))) = (blocks.last_mut(), line.trim_start().split_once("  ")) {
                block.lines.push((hex.to_owned(), what.trim().to_owned()));
            }
        }
        blocks
    })
}

#[test]
fn the_library_reads_each_frame_as_the_page_says_and_writes_the_same_bytes() {
    let mut asked = Asked::default();
    for block in all() {
        let bytes = block.bytes();
        let described = asked.describe(&bytes).unwrap_or_else(|error| panic!("{error}:\n{}", block.text()));
        let from = &block.title[..6];
        assert_eq!(Block::of(&described, &bytes, from), block.text());
        assert_eq!(described.written, bytes, "written otherwise:\n{}", block.text());
    }
    assert!(all().count() >= 25);
}

#[test]
fn a_bit_of_a_frame_that_is_another_does_not_go_unnoticed() {
    let mut asked = Asked::default();
    for block in all() {
        let bytes = block.bytes();
        for bit in 0..8 * bytes.len() {
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            let same = { asked }.describe(&other).is_ok_and(|described| {
                described.written == other && Block::of(&described, &other, &block.title[..6]) == block.text()
            });
            assert!(!same, "bit {bit} of:\n{}", block.text());
        }
        asked.describe(&bytes).unwrap();
    }
}

#[test]
fn the_fields_are_where_the_tables_say() {
    for (name, heading) in [
        ("client: hello", "**Hello**"),
        ("server: hello reply", "**Hello reply**"),
        ("client: sync", "**Sync**"),
        ("server: sync reply", "**Sync reply**"),
    ] {
        let block = all().find(|block| block.title == name).unwrap();
        let widths = block.lines[1..].iter().map(|(hex, _)| hex.replace(' ', "").len() / 2);
        let begins: Vec<usize> = widths.scan(0, |at, width| Some(std::mem::replace(at, *at + width))).collect();
        let (_, behind) = PROTOCOL.split_once(heading).unwrap();
        let rows = behind.lines().skip_while(|line| !line.starts_with("| at ")).skip(2);
        let said: Vec<usize> = rows
            .take_while(|row| row.starts_with("| "))
            .filter_map(|row| row.trim_matches('|').split('|').next()?.trim().parse().ok())
            .collect();
        assert!(
            begins.starts_with(&said) || begins.len() + 1 == said.len() && said.starts_with(&begins),
            "{name}: {said:?}, {begins:?}"
        );
    }
}
