//! The numbers in the tables of the guide are the library's.

use crate::bodies::NAMES;
use crate::{MARS, MQTT, PROTOCOL, THREATS};
use longlink::delivery::transfer::{
    self, Answer, ChunkReply, Handle, Key, Op, Open, OpenReply, Quota, Range, Status, limits as transfers,
};
use longlink::delivery::{DedupWindow, MessagePolicy, Rejection, RequestPolicy};
use longlink::liveness::Reconnect;
use longlink::session::{Config, GoAway, GoAwayCode, Hello, HelloReply, HelloStatus, ServerConfig, Storage, limits};
use longlink::sync::{self, Epoch, Fetch, FetchReply, FetchStatus, Response};
use longlink::wire::{Dialect, FrameError, Layout, ReplyRule};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The rows of the first table whose head begins with these cells, each as its cells.
fn table(page: &'static str, head: &[&str]) -> Vec<Vec<&'static str>> {
    tables(page).find(|table| table[0].starts_with(head)).unwrap_or_else(|| panic!("no table {head:?}")).split_off(1)
}

/// All tables of a page: the head, then the rows.
fn tables(page: &'static str) -> impl Iterator<Item = Vec<Vec<&'static str>>> {
    page.split("\n\n").filter(|text| text.starts_with("| ")).map(|text| {
        let rows = text.lines().filter(|line| !line.starts_with("|---"));
        rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
    })
}

/// Number and name, of the table in the section or below the paragraph that ends so.
fn codes(before: &str) -> Vec<(u32, &'static str)> {
    let (_, behind) = PROTOCOL.split_once(before).unwrap_or_else(|| panic!("{before}"));
    let table = tables(behind).find(|table| matches!(table[0][0], "code" | "status")).unwrap().split_off(1);
    table.iter().map(|row| (row[0].parse().unwrap(), row[1].trim_matches('`'))).collect()
}

/// Every code that `name` knows.
fn known(name: impl Fn(u8) -> Option<String>) -> Vec<(u32, String)> {
    (0..=u8::MAX).filter_map(|code| Some((code.into(), name(code)?))).collect()
}

#[track_caller]
fn same(page: &[(u32, &str)], library: &[(u32, String)]) {
    let library: Vec<(u32, &str)> = library.iter().map(|(code, name)| (*code, name.as_str())).collect();
    assert_eq!(page, library);
}

#[test]
fn every_command_is_the_library_s() {
    let rows = table(PROTOCOL, &["command", "name"]);
    let page: BTreeMap<&str, u32> = rows.iter().map(|row| (row[1], row[0].parse().unwrap())).collect();
    let native = &Dialect::LONGLINK;
    let greeting = native.greeting.unwrap();
    let library = BTreeMap::from([
        ("heartbeat", native.heartbeat),
        ("hello", greeting.command),
        ("message", native.message),
        ("transfer", transfer::OPEN),
        ("chunk", transfer::CHUNK),
        ("sync", sync::SYNC),
        ("fetch", sync::FETCH),
        ("sync done", sync::SYNC_DONE),
        ("notify", sync::NOTIFY),
        ("push", native.push),
        ("goaway", native.goaway.unwrap()),
    ]);
    assert_eq!(page, library);
    for (name, command) in library {
        assert!(NAMES.contains(&(command, name)));
        let reply = NAMES.iter().find(|(number, _)| *number == native.reply_to(command));
        assert!(reply.is_none_or(|(_, reply)| reply.starts_with(name)), "{reply:?}");
    }
    assert_eq!((native.reply_to(301), greeting.reply), (1_000_000_301, native.reply_to(greeting.command)));
}

#[test]
fn every_dialect_is_the_library_s() {
    let dialects = [Dialect::LONGLINK, Dialect::MARS, Dialect::GOIM, Dialect::BILIBILI];
    let library: Vec<Vec<String>> = dialects.iter().map(row_of).collect();
    assert_eq!(table(PROTOCOL, &["dialect", "header"]), library);
}

fn row_of(dialect: &Dialect) -> Vec<String> {
    let or_none = |number: Option<u32>| number.map_or("none".to_owned(), |number| number.to_string());
    let rule = match dialect.reply_rule {
        ReplyRule::Same => "n".to_owned(),
        ReplyRule::Plus(distance) => format!("n + {distance}"),
    };
    let own = [Some(dialect.heartbeat), dialect.greeting.map(|greeting| greeting.command)];
    let others: Vec<String> = dialect
        .replies
        .iter()
        .filter(|(request, _)| !own.contains(&Some(*request)))
        .map(|(request, reply)| format!("{request} → {reply}"))
        .collect();
    vec![
        format!("`{}`", dialect.name),
        format!("`{:?}`", dialect.layout),
        format!("{}, {}–{}", dialect.version, dialect.lowest_version, dialect.highest_version),
        format!("{}, {}", dialect.heartbeat, dialect.heartbeat_reply),
        dialect.heartbeat_sequence.map_or("next".to_owned(), |sequence| format!("{sequence:#x}")),
        dialect.greeting.map_or("none".to_owned(), |greeting| format!("{}, {}", greeting.command, greeting.reply)),
        if others.is_empty() { rule } else { format!("{rule}, but {}", others.join(", ")) },
        dialect.message.to_string(),
        dialect.push.to_string(),
        or_none(dialect.goaway),
        dialect.max_frame.to_string(),
    ]
}

#[test]
fn every_status_of_the_hello_reply_is_the_library_s() {
    let name = |byte| {
        let status = HelloStatus::from_byte(byte);
        (status.to_byte() == byte).then(|| format!("{status:?}"))
    };
    same(&codes("\n# Greeting\n"), &known(name));
}

#[test]
fn every_code_of_a_rejection_is_the_library_s() {
    let name = |byte| {
        let rejection = Rejection::from_bytes(&[0, byte, 0, 0])?;
        (rejection.to_bytes()[1] == byte).then(|| format!("{:?}", rejection.code))
    };
    same(&codes("\n# Messages\n"), &known(name));
}

#[test]
fn every_code_of_a_goaway_is_the_library_s() {
    let name = |byte| match GoAway::from_bytes(&[1, byte, 0, 0, 0, 0, 0, 0])?.code() {
        GoAwayCode::Unknown(_) => None,
        code => Some(format!("{code:?}")),
    };
    same(&codes("\n# Goaway\n"), &known(name));
}

#[test]
fn every_code_of_a_transfer_is_the_library_s() {
    let open = Open::new(Key([1; 16]), 1, 0);
    let status = |byte| {
        let mut body = Answer::go(Handle::FIRST, 0).to_bytes();
        body[1] = byte;
        match OpenReply::decode(&body, &open).unwrap().answer().status() {
            Status::Unknown(_) => None,
            status => Some(format!("{status:?}")),
        }
    };
    same(&codes("**Transfer reply**"), &known(status));
    let refusal = |byte| match ChunkReply::decode(&[0, byte, 0, 0]).ok()? {
        ChunkReply::Refused(transfer::ChunkRefusal::Unknown(_)) | ChunkReply::Buffered => None,
        ChunkReply::Refused(why) => Some(format!("{why:?}")),
    };
    same(&codes("**Chunk**"), &known(refusal));
    for (op, code) in [(Op::Open, 0), (Op::Status, 1), (Op::Abort, 2)] {
        assert_eq!(open.with_op(op).to_bytes()[1], code);
        let text = PROTOCOL.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&format!("{code} `{op:?}`")), "{op:?}");
    }
}

#[test]
fn every_status_of_sync_is_the_library_s() {
    // A delay that is named tells a status that asks to wait from one that is not known.
    let status = |byte| {
        let mut body = [1, byte, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        if byte > 1 {
            body[19] = if byte == 2 || byte > 4 { 1 } else { 0 };
        }
        let name = match Response::decode(&body).unwrap() {
            Response::Page(page) if page.is_reset() => "ResetAll",
            Response::Page(_) => "Page",
            Response::RetryLater { after: Duration::ZERO } => return None,
            Response::RetryLater { .. } => "RetryLater",
            Response::Refused => "Refused",
            Response::NotThisDevice => "NotThisDevice",
            _ => return None,
        };
        Some(name.to_owned())
    };
    same(&codes("**Sync reply**"), &known(status));
    let fetch = Fetch::new(1, Epoch::FIRST, 1, 0, 64);
    let status = |byte| {
        let body = [1, byte, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let status: FetchStatus = FetchReply::decode(&body, &fetch).unwrap().status;
        (status.to_byte() == byte).then(|| format!("{status:?}"))
    };
    same(&codes("\n# Fetch\n"), &known(status));
}

#[test]
fn the_two_headers_are_as_long_as_the_page_says() {
    let rows = table(PROTOCOL, &["`Wire16`, at byte"]);
    let last = rows.last().unwrap();
    assert_eq!((last[0], last[3]), ("16", "20"));
    assert_eq!((Layout::Wire16.header_len(), Layout::Wire20.header_len()), (16, 20));
    let text = PROTOCOL.split_whitespace().collect::<Vec<_>>().join(" ");
    for (what, length) in [
        ("**Hello**, {} + t", Hello::LEN),
        ("**Hello reply**, {} + w", HelloReply::LEN),
        ("**Transfer**, {} bytes", Open::LEN),
        ("**Transfer reply**, {} + 8n", Answer::LEN),
        ("**Chunk**, {} + k", transfer::Chunk::HEADER_LEN),
        ("**Sync**, {} + 12n", sync::Request::LEN),
        ("**Sync done**, {} + 12n", sync::Ack::LEN),
        ("**Fetch**, {} bytes", Fetch::LEN),
        ("**Reply**, {} + k", FetchReply::LEN),
    ] {
        assert!(text.contains(&what.replace("{}", &length.to_string())), "{what}");
    }
    assert_eq!(size_of::<sync::Row>(), 12);
    assert_eq!(size_of::<Range>(), 8);
}

#[test]
fn the_numbers_in_the_text_are_the_library_s() {
    let text = PROTOCOL.split_whitespace().collect::<Vec<_>>().join(" ");
    let [header, frame] = [Dialect::LONGLINK.max_header, FrameError::SKIP_FACTOR];
    for said in [
        format!("takes a longer one, up to {header}"),
        format!("longer than {frame} times the limit"),
        format!("w: {} to {}. The window", HelloReply::MIN_BITMAP, HelloReply::MAX_BITMAP),
        format!("1 to {} count as {}", HelloReply::MIN_IDLE - 1, HelloReply::MIN_IDLE),
        format!("that the client takes; {} or more", Hello::MIN_MAX_FRAME),
        format!("t, up to {}", Hello::MAX_TOKEN),
        format!("1 to {:#x} | messages", longlink::delivery::LAST_SEQUENCE),
        format!("W is {} before the first hello reply", longlink::delivery::Outbox::LEAST_WIDTH),
        format!("chunk length u16, {} or more", Open::SMALLEST_CHUNK),
        format!("n u16, up to {}", OpenReply::MAX_RANGES),
        format!("each key once, {} at most", sync::MAX_KEYS),
        format!("up to {}; 0 is {}", sync::Request::MAX_ITEMS, sync::Request::DEFAULT_ITEMS),
        format!("of the reply's body; {} or more", sync::Request::MIN_BYTES),
        format!("of the reply's body, {} or more", Fetch::MIN_MAX),
    ] {
        assert!(text.contains(&said), "{said}");
    }
}

#[test]
fn the_checksum_of_the_example_is_that_of_its_payload() {
    let payload = [&[0x5A; 4_000], &b"end"[..]].concat();
    assert!(PROTOCOL.contains(&format!("  CRC-32C {:#x}\n", crc32c::crc32c(&payload))));
}

#[test]
fn every_limit_is_the_library_s() {
    let limits = limits();
    let mut seen = BTreeSet::new();
    for (page, table) in [PROTOCOL, MQTT, MARS, THREATS].iter().flat_map(|page| tables(page).map(move |t| (page, t))) {
        if table[0].last() != Some(&"set by") {
            continue;
        }
        for row in &table[1..] {
            let [.., value, by] = row[..] else { panic!("{row:?}") };
            let (_, path) = by.split_once("](crate::").unwrap_or_else(|| panic!("{by} on {}", &page[..40]));
            let path = path.trim_end_matches(')');
            let expected = limits.get(path).unwrap_or_else(|| panic!("{path} is not known here"));
            assert_eq!(value, expected, "{path}");
            seen.insert(path);
        }
    }
    let unnamed: Vec<&&str> = limits.keys().filter(|path| !seen.contains(*path)).collect();
    assert!(unnamed.is_empty(), "on no page: {unnamed:?}");
}

/// What the pages name, and how they say it.
fn limits() -> BTreeMap<&'static str, String> {
    let native = &Dialect::LONGLINK;
    BTreeMap::from([
        ("wire::Dialect::max_header", count(native.max_header)),
        ("wire::Dialect::max_frame", count(native.max_frame)),
        ("wire::FrameError::SKIP_FACTOR", count(FrameError::SKIP_FACTOR)),
        ("session::limits::GREETING_TIMEOUT", time(limits::GREETING_TIMEOUT)),
        ("session::limits::UNGREETED_HEARTBEATS", count(limits::UNGREETED_HEARTBEATS)),
        ("session::Hello::MIN_MAX_FRAME", count(Hello::MIN_MAX_FRAME)),
        ("session::Hello::MAX_TOKEN", count(Hello::MAX_TOKEN)),
        ("session::HelloReply::MIN_IDLE", count(HelloReply::MIN_IDLE)),
        ("session::ServerConfig::idle", time(ServerConfig::DEFAULT.idle)),
        ("session::ServerConfig::pending", count(ServerConfig::DEFAULT.pending)),
        ("session::Config::answer_timeout", time(Config::DEFAULT.answer_timeout)),
        ("session::limits::TRANSFER_RATE", count(limits::TRANSFER_RATE)),
        ("session::limits::LONGEST_TRANSFER", time(limits::LONGEST_TRANSFER)),
        ("session::limits::FRAME_TIMEOUT", time(limits::FRAME_TIMEOUT)),
        ("session::limits::FRAME_RATE", count(limits::FRAME_RATE)),
        ("session::limits::WRITE_TIMEOUT", time(limits::WRITE_TIMEOUT)),
        ("session::limits::WRITE_RATE", count(limits::WRITE_RATE)),
        ("session::limits::FRAME_INTERVAL", time(limits::FRAME_INTERVAL)),
        ("session::limits::FRAME_BURST", count(limits::FRAME_BURST)),
        ("session::limits::MISBEHAVIOUR", count(limits::MISBEHAVIOUR)),
        ("session::limits::ATTEMPTS", count(limits::ATTEMPTS)),
        ("session::limits::DRAIN_TIMEOUT", time(limits::DRAIN_TIMEOUT)),
        ("session::limits::CLOSE_TIMEOUT", time(limits::CLOSE_TIMEOUT)),
        ("session::GoAway::MAX_RETRY_AFTER", time(GoAway::MAX_RETRY_AFTER)),
        ("delivery::DedupWindow::WIDTH", count(DedupWindow::<1>::WIDTH)),
        ("delivery::MessagePolicy::attempts", count(MessagePolicy::DEFAULT.attempts)),
        ("delivery::MessagePolicy::lifetime", time(MessagePolicy::DEFAULT.lifetime)),
        ("delivery::RequestPolicy::timeout", time(RequestPolicy::DEFAULT.timeout)),
        ("delivery::transfer::Open::SMALLEST_CHUNK", count(Open::SMALLEST_CHUNK)),
        ("delivery::transfer::limits::WINDOW", count(transfers::WINDOW)),
        ("delivery::transfer::limits::LIFETIME", time(transfers::LIFETIME)),
        ("delivery::transfer::Quota::transfers", count(Quota::DEFAULT.transfers)),
        ("delivery::transfer::Quota::bytes", count(Quota::DEFAULT.bytes)),
        ("liveness::Reconnect::STABLE_AFTER", time(Reconnect::STABLE_AFTER)),
        ("sync::MAX_KEYS", count(sync::MAX_KEYS)),
        ("sync::Request::MAX_ITEMS", count(sync::Request::MAX_ITEMS)),
        ("sync::Config::timeout", time(sync::Config::DEFAULT.timeout)),
        ("sync::Config::poll", time(sync::Config::DEFAULT.poll)),
        ("sync::Config::rounds", count(sync::Config::DEFAULT.rounds)),
        ("sync::Config::MAX_BYTES", count(sync::Config::MAX_BYTES)),
        ("sync::Server::LONGEST_HOLD", time(sync::Server::LONGEST_HOLD)),
        ("sync::Server::NOTIFY_INTERVAL", time(sync::Server::NOTIFY_INTERVAL)),
        ("sync::RingMailbox::DEVICE_LIFETIME", time(sync::RingMailbox::DEVICE_LIFETIME)),
        ("session::Storage", storage()),
    ])
}

/// The receive and the transmit buffer, and the slots, of the default storage.
fn storage() -> String {
    let mut storage: Storage = Storage::new();
    let (rx, work) = storage.lend();
    format!("{}, {}, {}", count(rx.len()), count(work.tx.len()), work.slots.len())
}

fn time(time: Duration) -> String {
    const HOUR: u64 = 3_600;
    match (time.as_millis(), time.as_secs()) {
        (millis @ 0..1_000, _) => format!("{millis} ms"),
        (_, seconds) if seconds >= 48 * HOUR => format!("{} days", seconds / (24 * HOUR)),
        (_, seconds) if seconds >= HOUR => format!("{} h", seconds / HOUR),
        (_, seconds) => format!("{seconds} s"),
    }
}

fn count(n: impl TryInto<u64>) -> String {
    let digits = n.try_into().unwrap_or(u64::MAX).to_string();
    let from_behind: Vec<String> =
        digits.as_bytes().rchunks(3).map(|three| three.iter().map(|digit| char::from(*digit)).collect()).collect();
    from_behind.into_iter().rev().collect::<Vec<_>>().join(",")
}
