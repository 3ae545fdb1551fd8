//! Headers that are wrong, and frames that are too long.

use crate::capture::Side::Device;
use crate::given::understood;
use crate::tshark::{Shown, Talk, read};
use crate::{frame, names, native};
use longlink::wire::Dialect;

pub(crate) fn port_option(dialect: &Dialect) -> String {
    let name = if dialect.name == "longlink" { "native" } else { dialect.name };
    format!("longlink.{name}_ports:8080")
}

/// Headers that are right but for one or two words, and a frame behind each.
fn headers(dialect: &Dialect) -> Vec<Vec<u8>> {
    let numbers =
        [0, 1, 2, 3, 4, 15, 16, 17, 19, 20, 21, 24, 199, 200, 201, 256, 257, 4_113, 65_793, 1_052_673, 16_777_216];
    let numbers = [&numbers[..], &[4_112, 65_792, 1_048_556, 1_048_557, 1_052_672, 16_777_196, 16_777_197]].concat();
    let words = numbers.iter().flat_map(|&n| [n, n << 16, n << 16 | 1, u32::MAX - n, 16 << 16 | n]);
    let words: Vec<[u8; 4]> = words.map(u32::to_be_bytes).collect();
    let whole = frame(dialect, dialect.heartbeat, 1, b"abcd");
    let with = |changes: &[(usize, [u8; 4])]| {
        let mut bytes = whole.clone();
        changes.iter().for_each(|(at, word)| bytes[*at..at + 4].copy_from_slice(word));
        [bytes, whole.clone()].concat()
    };
    let last = dialect.header_len() - 4;
    let one = words.iter().flat_map(|word| [0, 4, last].map(|at| with(&[(at, *word)])));
    let two = words.iter().zip(words.iter().cycle().skip(37)).map(|(first, second)| with(&[(0, *first), (4, *second)]));
    one.chain(two).collect()
}

#[test]
fn a_header_is_refused_when_the_library_refuses_it_and_in_its_words() {
    for dialect in [Dialect::LONGLINK, Dialect::MARS, Dialect::GOIM, Dialect::BILIBILI] {
        let (mut talk, mut expected) = (Talk::new(), Vec::new());
        for bytes in headers(&dialect) {
            talk.next_link();
            talk.say(Device, &bytes);
            expected.push(understood(&dialect, &bytes));
        }
        assert!(expected.iter().filter(|said| said.last().is_some_and(|said| said.contains(' '))).count() > 50);
        let Some(shown) = read(&talk.done(), &["-o", &port_option(&dialect)]) else { return };
        let mut links = vec![Vec::new(); expected.len()];
        for shown in &shown {
            let said = shown.error().or(shown.one("command")).unwrap();
            links[shown.stream as usize].push(said.to_owned());
        }
        for (n, (seen, expected)) in links.iter().zip(&expected).enumerate() {
            // A body that is none is for another test.
            assert_eq!(seen, expected, "{} {:02x?}", dialect.name, headers(&dialect)[n]);
        }
    }
}

#[test]
fn a_frame_that_is_too_long_is_marked_and_what_follows_is_read() {
    let mut long = native(237, 5, &[b'\n'; 65_776]);
    let longest = long.clone();
    long[..4].copy_from_slice(&65_793_u32.to_be_bytes());
    long.push(b'\n');
    let mut talk = Talk::new();
    talk.say(Device, &[&long[..], &longest, &native(6, 1, b"")].concat());
    let capture = talk.done();
    let Some(shown) = read(&capture, &[]) else { return };
    assert_eq!(names(&shown), ["message", "message", "heartbeat"]);
    let errors = |shown: &[Shown]| -> Vec<_> { shown.iter().map(|shown| shown.error().map(String::from)).collect() };
    let error = "frame of 65793 bytes (command 237, sequence 5) is above the limit of 65792";
    assert_eq!(errors(&shown), [Some(error.into()), None, None]);
    assert_eq!(errors(&read(&capture, &["-o", "longlink.longest:65793"]).unwrap()), [None, None, None]);
}
