//! Frames of the native dialect, field by field, as the library reads them; and the same bytes as it writes them.

use longlink::delivery::transfer::{self, Answer, Chunk, ChunkReply, Open, OpenReply};
use longlink::delivery::{LAST_SEQUENCE, Rejection};
use longlink::session::{GoAway, Hello, HelloReply};
use longlink::sync::{self, Ack, BodyError, Entries, Entry, Fetch, FetchReply, Notify, Page, Request, Response};
use longlink::wire::{Decoded, Dialect, Layout, decode, encode};
use std::fmt::Display;

use super::shelf;

/// Bytes, in groups of so many, and what they are.
pub type Field = (Vec<usize>, String);
pub type Fields = Vec<Field>;

/// What is needed to read a reply: the request before it.
#[derive(Clone, Copy, Default)]
pub struct Asked {
    open: Option<Open>,
    fetch: Option<Fetch>,
}

/// A frame as the library reads it: what it is, its fields in order, and its bytes as the library writes them.
pub struct Described {
    pub name: &'static str,
    pub fields: Fields,
    pub written: Vec<u8>,
}

/// What the commands of the native dialect are called.
pub const NAMES: [(u32, &str); 19] = [
    (6, "heartbeat"),
    (1_000_000_006, "heartbeat answer"),
    (205, "hello"),
    (1_000_000_205, "hello reply"),
    (237, "message"),
    (1_000_000_237, "message reply"),
    (241, "transfer"),
    (1_000_000_241, "transfer reply"),
    (239, "chunk"),
    (1_000_000_239, "chunk reply"),
    (121, "sync"),
    (1_000_000_121, "sync reply"),
    (125, "fetch"),
    (1_000_000_125, "fetch reply"),
    (1_000_000_190, "sync done"),
    (24, "notify"),
    (122, "push"),
    (247, "goaway"),
    (301, "request"),
];

impl Asked {
    /// Reads a frame in the dialect whose header it has.
    pub fn describe(&mut self, bytes: &[u8]) -> Result<Described, String> {
        let dialect = if bytes.starts_with(&[0, 0, 0, 20]) && bytes[4..8] == [0, 0, 0, 200] {
            &Dialect::MARS
        } else {
            &Dialect::LONGLINK
        };
        let frame = match decode(dialect, bytes) {
            Ok(Decoded::Frame(frame)) if frame.length() == bytes.len() => frame,
            other => return Err(format!("no whole frame: {other:?}")),
        };
        let (command, sequence, body) = (frame.command(), frame.sequence(), frame.body());
        let name = NAMES.iter().find(|(number, _)| *number == command).ok_or("no such command")?.1;
        let (length, header, version) = (frame.length(), frame.header().header_len(), frame.version());
        let numbers = format!("version {version}, command {command}, sequence {}", number(sequence));
        let mut fields = vec![match dialect.layout {
            Layout::Wire16 => group(&[4, 2, 2, 4, 4], format!("length {length}, header {header}, {numbers}")),
            Layout::Wire20 => group(&[4; 5], format!("header {header}, {numbers}, body {}", body.len())),
        }];
        let (of_body, written) = self.body(name, body)?;
        fields.extend(of_body);
        let mut out = vec![0; 2_048];
        let length = encode(dialect, command, sequence, &written, &mut out).map_err(|error| error.to_string())?;
        out.truncate(length);
        Ok(Described { name, fields, written: out })
    }

    fn body(&mut self, name: &str, body: &[u8]) -> Result<(Fields, Vec<u8>), String> {
        fn said<T>(read: Result<T, impl Display>) -> Result<T, String> {
            read.map_err(|error| error.to_string())
        }
        Ok(match name {
            "heartbeat" | "heartbeat answer" => (plain(body), Vec::new()),
            "message" | "push" | "request" => (plain(body), body.to_vec()),
            "hello" => hello(&said(Hello::decode(body))?),
            "hello reply" => hello_reply(&said(HelloReply::decode(body))?),
            "message reply" if body.is_empty() => (Vec::new(), Vec::new()),
            "message reply" => rejection(Rejection::from_bytes(body).ok_or("no rejection")?),
            "transfer" => {
                let read = said(Open::decode(body))?;
                self.open = Some(read);
                open(&read)
            }
            "transfer reply" => open_reply(&said(OpenReply::decode(body, &self.open.ok_or("no transfer")?))?),
            "chunk" => chunk(&said(Chunk::decode(body))?),
            "chunk reply" => chunk_reply(said(ChunkReply::decode(body))?),
            "sync" => request(&said(Request::decode(body))?),
            "sync reply" => response(&said(Response::decode(body))?, body),
            "fetch" => {
                let read = said(Fetch::decode(body))?;
                self.fetch = Some(read);
                fetch(&read)
            }
            "fetch reply" => fetch_reply(&said(FetchReply::decode(body, &self.fetch.ok_or("no fetch")?))?),
            "sync done" => done(&said(Ack::decode(body))?),
            "notify" => notify(body)?,
            "goaway" => goaway(GoAway::from_bytes(body).ok_or("no goaway")?),
            _ => return Err(format!("no body of {name}")),
        })
    }
}

fn field(width: usize, what: impl Into<String>) -> Field {
    group(&[width], what)
}

fn group(widths: &[usize], what: impl Into<String>) -> Field {
    (widths.to_vec(), what.into())
}

/// The reserved ones are known by their hex digits.
fn number(sequence: u32) -> String {
    if sequence > LAST_SEQUENCE { format!("{sequence:#x}") } else { sequence.to_string() }
}

fn text(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}

fn plain(body: &[u8]) -> Fields {
    if body.is_empty() { Vec::new() } else { vec![field(body.len(), text(body))] }
}

fn hello(hello: &Hello<'_>) -> (Fields, Vec<u8>) {
    let mut fields = vec![
        field(1, format!("version {}", hello.version)),
        field(1, format!("flags {}", if hello.resume { "RESUME" } else { "0" })),
        field(2, format!("heartbeat {} s", hello.heartbeat)),
        field(4, format!("epoch {}", hello.epoch.map_or(0, |epoch| epoch.get()))),
        field(8, format!("device {:#x}", hello.device)),
        field(4, format!("link {}", hello.link)),
        field(4, format!("longest frame {}", hello.max_frame)),
        field(2, "reserved 0"),
        field(2, format!("token length {}", hello.token.len())),
    ];
    fields.extend(plain(hello.token));
    (fields, [&hello.encode_fixed(), hello.token].concat())
}

fn hello_reply(reply: &HelloReply<'_>) -> (Fields, Vec<u8>) {
    let bitmap = reply.accepted.bitmap();
    let mut fields = vec![
        field(1, format!("0x80 and version {}", reply.version)),
        field(1, format!("status {} {:?}", reply.status.to_byte(), reply.status)),
        field(1, format!("flags {}", if reply.resumed { "RESUMED" } else { "0" })),
        field(1, format!("bitmap length {}", bitmap.len())),
        field(2, format!("idle {} s", reply.idle)),
        field(2, "reserved 0"),
        field(4, format!("epoch {}", reply.epoch.map_or(0, |epoch| epoch.get()))),
        field(4, format!("link {}", reply.link)),
        field(4, format!("longest frame {}", reply.max_frame)),
        field(4, format!("last {}", reply.accepted.last())),
        field(4, format!("retry after {} ms", reply.retry_after.as_millis())),
    ];
    if !bitmap.is_empty() {
        let (last, width) = (reply.accepted.last(), reply.accepted.width());
        let stored: Vec<u32> = (last.saturating_sub(width - 1).max(1)..=last)
            .filter(|sequence| reply.accepted.contains(*sequence))
            .collect();
        fields.push(field(bitmap.len(), format!("accepted {stored:?}")));
    }
    (fields, [&reply.encode_fixed(), bitmap].concat())
}

fn rejection(rejection: Rejection) -> (Fields, Vec<u8>) {
    let bytes = rejection.to_bytes();
    let fields = vec![
        field(2, format!("code {} {:?}", bytes[1], rejection.code)),
        field(2, format!("detail {}", rejection.detail)),
    ];
    (fields, bytes.to_vec())
}

fn open(open: &Open) -> (Fields, Vec<u8>) {
    let bytes = open.to_bytes();
    let fields = vec![
        field(1, "version 1"),
        field(1, format!("op {} {:?}", bytes[1], open.op())),
        field(2, format!("chunk length {}", open.chunk())),
        field(4, format!("total {}", open.total())),
        field(4, format!("CRC-32C {:#x}", open.crc())),
        field(4, "reserved 0"),
        field(16, format!("key {}", text(&open.key().0))),
    ];
    (fields, bytes.to_vec())
}

fn open_reply(reply: &OpenReply<'_>) -> (Fields, Vec<u8>) {
    let answer = reply.answer();
    let mut fields = vec![
        field(1, "version 1"),
        field(1, format!("status {} {:?}", answer.status().to_byte(), answer.status())),
        field(2, format!("ranges {}", reply.ranges().count())),
        field(4, format!("handle {}", answer.handle().map_or(0, transfer::Handle::get))),
        field(4, format!("missing chunks {}", answer.missing())),
        field(4, format!("retry after {} ms", answer.retry_after().as_millis())),
    ];
    for range in reply.ranges() {
        fields.push(group(&[4, 4], format!("offset {}, length {}", range.offset(), range.length())));
    }
    let mut out = [0; Answer::LEN + 8 * OpenReply::MAX_RANGES];
    let length = answer.encode(reply.ranges(), &mut out).unwrap();
    (fields, out[..length].to_vec())
}

fn chunk(chunk: &Chunk<'_>) -> (Fields, Vec<u8>) {
    let mut fields = vec![
        field(4, format!("handle {}", chunk.handle().get())),
        field(4, format!("offset {}", chunk.range().offset())),
        field(4, format!("total {}", chunk.total())),
    ];
    fields.extend(plain(chunk.bytes()));
    let mut out = vec![0; Chunk::HEADER_LEN + chunk.bytes().len()];
    chunk.encode_into(&mut out).unwrap();
    (fields, out)
}

fn chunk_reply(reply: ChunkReply) -> (Fields, Vec<u8>) {
    let ChunkReply::Refused(why) = reply else { return (Vec::new(), Vec::new()) };
    (vec![field(2, format!("code {} {why:?}", why.code())), field(2, "reserved 0")], why.to_bytes().to_vec())
}

fn entries(fields: &mut Fields, entries: Entries<'_>) {
    for Entry { key, val, resets, has_gap } in entries {
        let flags = [(resets, "RESET"), (has_gap, "GAP")].map(|(set, name)| if set { name } else { "" }).concat();
        let flags = if flags.is_empty() { "0" } else { &flags };
        fields.push(group(&[2, 2, 8], format!("entry: key {key}, flags {flags}, val {val}")));
    }
}

fn request(request: &Request<'_>) -> (Fields, Vec<u8>) {
    let flags = [(request.all, "ALL"), (request.continues, "CONTINUE"), (request.retries, "RETRY")];
    let flags: Vec<&str> = flags.iter().filter(|(set, _)| *set).map(|(_, name)| *name).collect();
    let mut fields = vec![
        field(1, "version 1"),
        field(1, format!("flags {}", if flags.is_empty() { "0".to_owned() } else { flags.join(" ") })),
        field(2, format!("entries {}", request.entries.len())),
        field(4, format!("epoch {}", request.epoch.map_or(0, sync::Epoch::get))),
        field(2, format!("most items {}", request.max_items)),
        field(2, format!("hold {} s", request.hold)),
        field(4, format!("most bytes {}", request.max_bytes)),
    ];
    entries(&mut fields, request.entries);
    let mut out = [0; 1_024];
    let length = request.encode(&mut out).unwrap();
    (fields, out[..length].to_vec())
}

fn response(response: &Response<'_>, body: &[u8]) -> (Fields, Vec<u8>) {
    let (page, why) = match *response {
        Response::Page(page) => (Some(page), None),
        Response::RetryLater { after } => (None, Some(sync::Refusal::RetryLater(after))),
        Response::Refused => (None, Some(sync::Refusal::Bad)),
        Response::NotThisDevice => (None, Some(sync::Refusal::NotThisDevice)),
        _ => unreachable!("all are named on the page"),
    };
    let is = |flag, name| if flag { name } else { "0" };
    let (status, after) = match (why, page.is_some_and(|page| page.is_reset())) {
        (Some(sync::Refusal::RetryLater(after)), _) => ("2 RetryLater", after),
        (Some(sync::Refusal::Bad), _) => ("3 Refused", Default::default()),
        (Some(sync::Refusal::NotThisDevice), _) => ("4 NotThisDevice", Default::default()),
        (None, false) => ("0 Page", Default::default()),
        (None, true) => ("1 ResetAll", Default::default()),
    };
    let items_len: usize = page.map_or(0, |page| body.len() - page.receipt().bytes().len());
    let mut fields = vec![
        field(1, "version 1"),
        field(1, format!("status {status}")),
        field(2, format!("entries {}", page.map_or(0, |page| page.entries().len()))),
        field(4, format!("epoch {}", page.map_or(0, |page| page.epoch().get()))),
        field(2, format!("items {}", page.map_or(0, |page| page.items().len()))),
        field(2, format!("flags {}", is(page.is_some_and(|page| page.has_more()), "MORE"))),
        field(4, format!("length of the items {items_len}")),
        field(4, format!("retry after {} ms", after.as_millis())),
    ];
    let Some(page) = page else { return (fields, sync::refusal(why.unwrap()).to_vec()) };
    entries(&mut fields, page.entries());
    items(&mut fields, &page);
    (fields, shelf::page(&page))
}

fn items(fields: &mut Fields, page: &Page<'_>) {
    for item in page.items() {
        let around = if item.is_stub() { 4 } else { 0 };
        let (flags, length) = (if item.is_stub() { "STUB" } else { "0" }, item.bytes.len() + around);
        let head = format!("item: key {}, op {}, flags {flags}, length {length}, val {}", item.key, item.op, item.val);
        fields.push(group(&[2, 1, 1, 4, 8], head));
        if let Some(total) = item.total {
            fields.push(field(4, format!("whole length {total}")));
        }
        fields.extend(plain(item.bytes));
    }
}

fn fetch(fetch: &Fetch) -> (Fields, Vec<u8>) {
    let fields = vec![
        field(1, "version 1"),
        field(1, "flags 0"),
        field(2, format!("key {}", fetch.key)),
        field(4, format!("epoch {}", fetch.epoch.get())),
        field(8, format!("val {}", fetch.val)),
        field(4, format!("offset {}", fetch.offset)),
        field(4, format!("most bytes {}", fetch.max)),
    ];
    (fields, fetch.to_bytes().to_vec())
}

fn fetch_reply(reply: &FetchReply<'_>) -> (Fields, Vec<u8>) {
    let mut fields = vec![
        field(1, "version 1"),
        field(1, format!("status {} {:?}", reply.status.to_byte(), reply.status)),
        field(2, "reserved 0"),
        field(4, format!("whole length {}", reply.total)),
        field(4, format!("offset {}", reply.offset)),
        field(4, format!("retry after {} ms", reply.retry_after.as_millis())),
    ];
    fields.extend(plain(reply.bytes));
    (fields, [&reply.encode_fixed(), reply.bytes].concat())
}

fn list(flags: &str, epoch: u32, of: Entries<'_>) -> Fields {
    let mut fields = vec![
        field(1, "version 1"),
        field(1, format!("flags {flags}")),
        field(2, format!("entries {}", of.len())),
        field(4, format!("epoch {epoch}")),
    ];
    entries(&mut fields, of);
    fields
}

fn done(ack: &Ack<'_>) -> (Fields, Vec<u8>) {
    let mut out = [0; 1_024];
    let length = ack.encode(&mut out).unwrap();
    (list("0", ack.epoch.get(), ack.entries), out[..length].to_vec())
}

/// One of another length than it says is "something", whatever is in it.
fn notify(body: &[u8]) -> Result<(Fields, Vec<u8>), String> {
    let notify = Notify::decode(body).map_err(|error: BodyError| error.to_string())?;
    if body.len() != Notify::LEN + 12 * notify.entries.len() {
        return Ok((vec![field(body.len(), "no body of a notify: something is new")], body.to_vec()));
    }
    let flags = if notify.something { "SOMETHING" } else { "0" };
    let mut out = [0; 1_024];
    let length = notify.encode(&mut out).unwrap();
    Ok((list(flags, notify.epoch.map_or(0, sync::Epoch::get), notify.entries), out[..length].to_vec()))
}

fn goaway(goaway: GoAway) -> (Fields, Vec<u8>) {
    let fields = vec![
        field(1, "version 1"),
        field(1, format!("code {} {:?}", goaway.code().to_byte(), goaway.code())),
        field(2, "reserved 0"),
        field(4, format!("retry after {} ms", goaway.retry_after().as_millis())),
    ];
    (fields, goaway.to_bytes().to_vec())
}
