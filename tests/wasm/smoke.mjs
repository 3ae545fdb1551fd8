// Runs the client that is a WebAssembly module: against bytes composed here, at times made up here, and against the example
// server, if there is one.
//
//     node smoke.mjs longlink_wasm.wasm [SERVER]
//
// Needs no packages. Ends with an error if anything is not as it should be.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { createInterface } from "node:readline";

// Nothing here takes a second.
setTimeout(() => assert.fail("it hangs"), 20_000).unref();

const [path, server] = process.argv.slice(2);
const code = new WebAssembly.Module(readFileSync(path));

// As `Told` in src/lib.rs numbers them.
const EVENTS = { 1: "online", 2: "delivered", 3: "failed", 4: "heartbeat", 5: "push", 6: "goaway", 7: "offline" };

const HEADER = 16;
const HEARTBEAT = 6;
const HELLO = 205;
const MESSAGE = 237;
const GOAWAY = 247;
const REPLY = 1_000_000_000;
const HELLO_SEQUENCE = 0xffff_fffe;
const HEARTBEAT_SEQUENCE = 0xffff_ffff;

/** One client: an instance of the module, with its raw memory hidden. */
class Client {
  constructor(now) {
    this.wasm = new WebAssembly.Instance(code, {}).exports;
    assert.equal(this.wasm.start(now), 1, "a client");
    assert.equal(this.wasm.start(now), 0, "and one only");
  }

  bytes(at, length) {
    return new Uint8Array(this.wasm.memory.buffer, at, length);
  }

  /** Hands over what came, in as many parts as there is room for. */
  receive(now, bytes) {
    while (bytes.length > 0) {
      const room = this.wasm.input_len();
      assert.ok(room > 0, "room to read into");
      const n = Math.min(room, bytes.length);
      this.bytes(this.wasm.input_ptr(), n).set(bytes.subarray(0, n));
      this.wasm.received(now, n);
      bytes = bytes.subarray(n);
    }
  }

  /** All that is to be written, as written. */
  transmit(now) {
    const parts = [];
    for (let n = this.wasm.transmit_len(); n > 0; n = this.wasm.transmit_len()) {
      parts.push(Buffer.from(this.bytes(this.wasm.transmit_ptr(), n)));
      this.wasm.sent(now, n);
    }
    return Buffer.concat(parts);
  }

  /** All that happened: names, each with its number. */
  events() {
    const events = [];
    for (let what = this.wasm.event(); what !== 0; what = this.wasm.event()) {
      events.push([EVENTS[what] ?? what, this.wasm.event_value()]);
    }
    return events;
  }

  /** Sends a message. Returns its sequence. */
  send(now, text) {
    const body = Buffer.from(text);
    assert.ok(body.length <= this.wasm.body_len());
    this.bytes(this.wasm.body_ptr(), body.length).set(body);
    return this.wasm.send(now, body.length);
  }
}

function frame(command, sequence, body = Buffer.alloc(0)) {
  const header = Buffer.alloc(HEADER);
  header.writeUInt32BE(HEADER + body.length, 0);
  header.writeUInt16BE(HEADER, 4);
  header.writeUInt16BE(1, 6);
  header.writeUInt32BE(command, 8);
  header.writeUInt32BE(sequence, 12);
  return Buffer.concat([header, body]);
}

/** The answer to a hello: taken, nothing of the device is known. */
function welcome(epoch, link) {
  const body = Buffer.alloc(28 + 8);
  body.writeUInt8(0x81, 0);
  body.writeUInt8(8, 3); // bytes of bitmap
  body.writeUInt16BE(60, 4); // seconds of silence
  body.writeUInt32BE(epoch, 8);
  body.writeUInt32BE(link, 12);
  body.writeUInt32BE(65_792, 16); // the longest frame
  return frame(HELLO + REPLY, HELLO_SEQUENCE, body);
}

function imports_nothing() {
  assert.deepEqual(WebAssembly.Module.imports(code), []);
}

function a_link_from_greeting_to_goaway() {
  const client = new Client(0);
  const { wasm } = client;

  const hello = client.transmit(0);
  const token = Buffer.from("wasm");
  assert.equal(hello.length, HEADER + 28 + token.length);
  assert.deepEqual(hello.subarray(0, HEADER), frame(HELLO, HELLO_SEQUENCE, hello.subarray(HEADER)).subarray(0, HEADER));
  assert.equal(hello.readUInt8(HEADER), 1, "version");
  assert.equal(hello.readBigUInt64BE(HEADER + 8), 1n, "device");
  assert.equal(hello.readUInt32BE(HEADER + 16), 1, "link");
  assert.deepEqual(hello.subarray(-token.length), token);
  assert.equal(wasm.next_timeout(), 10_000, "a greeting may take so long");
  assert.deepEqual(client.events(), []);

  // The answer comes in two parts: nothing happens before the last byte.
  const answer = welcome(7, 1);
  client.receive(40, answer.subarray(0, 21));
  assert.deepEqual(client.events(), []);
  client.receive(50, answer.subarray(21));
  assert.deepEqual(client.events(), [["online", 0]]);
  assert.equal(wasm.transmit_len(), 0);

  assert.equal(client.send(100, "hello"), 1);
  assert.deepEqual(client.transmit(100), frame(MESSAGE, 1, Buffer.from("hello")));
  assert.deepEqual(client.events(), []);
  client.receive(150, frame(MESSAGE + REPLY, 1));
  assert.deepEqual(client.events(), [["delivered", 1]]);
  client.receive(160, frame(MESSAGE + REPLY, 1));
  assert.deepEqual(client.events(), [], "once");

  // Nothing is to be written until a heartbeat is due, 30 s after what was written last.
  const due = wasm.next_timeout();
  assert.equal(due, 100 + 30_000);
  wasm.timeout(due - 1);
  assert.equal(wasm.transmit_len(), 0);
  wasm.timeout(due);
  assert.deepEqual(client.transmit(due), frame(HEARTBEAT, HEARTBEAT_SEQUENCE));
  assert.equal(wasm.next_timeout(), due + 8_000, "an answer may take so long");
  client.receive(due + 70, frame(HEARTBEAT + REPLY, HEARTBEAT_SEQUENCE));
  assert.deepEqual(client.events(), [["heartbeat", 70]]);

  wasm.close(due + 100);
  const goaway = client.transmit(due + 100);
  assert.deepEqual(goaway, frame(GOAWAY, 0, Buffer.from([1, 0, 0, 0, 0, 0, 0, 0])));
  assert.equal(wasm.is_over(), 1);
  wasm.disconnected(due + 110);
  assert.deepEqual(client.events(), [["offline", 1]]);
  assert.equal(wasm.next_timeout(), Infinity);
}

/** A peer that speaks another protocol loses the link, and no other instance. */
function a_foreign_peer_is_left() {
  const [client, other] = [new Client(0), new Client(0)];
  client.transmit(0);
  client.receive(10, Buffer.from("HTTP/1.1 400 Bad Request\r\n"));
  assert.equal(client.wasm.is_over(), 1);
  client.wasm.disconnected(10);
  assert.deepEqual(client.events(), [["offline", 0]]);
  assert.equal(client.wasm.transmit_len(), 0);

  assert.equal(other.transmit(0).length, HEADER + 28 + 4);
  assert.equal(other.wasm.is_over(), 0);
}

/** A link to the example server, over TCP and in real time. */
async function a_link_to_a_server() {
  const child = spawn(server, ["--listen", "127.0.0.1:0"], { stdio: ["ignore", "pipe", "ignore"] });
  try {
    const [line] = await once(createInterface(child.stdout), "line");
    const [, host, port] = line.match(/^listening on (.*):(\d+)$/);
    const socket = connect(Number(port), host);
    await once(socket, "connect");
    assert.deepEqual(await hold(socket), ["online 0", "delivered 1", "heartbeat", "offline 1"]);
  } finally {
    child.kill();
  }
}

/** Sends a message, then a heartbeat, and closes. Returns what happened. */
async function hold(socket) {
  const client = new Client(performance.now());
  const { wasm } = client;
  const told = [];
  let timer;
  const turn = () => {
    const now = performance.now();
    wasm.timeout(now);
    for (const [what, value] of client.events()) {
      told.push(what === "heartbeat" ? what : `${what} ${value}`);
      if (what === "online") assert.equal(client.send(now, "from node"), 1);
      if (what === "delivered") wasm.heartbeat(now);
      if (what === "heartbeat") wasm.close(now);
    }
    const bytes = client.transmit(now);
    if (bytes.length > 0) socket.write(bytes);
    if (wasm.is_over()) return socket.end();
    clearTimeout(timer);
    if (wasm.next_timeout() < Infinity) timer = setTimeout(turn, wasm.next_timeout() - now + 1);
  };
  socket.on("data", (bytes) => {
    client.receive(performance.now(), bytes);
    turn();
  });
  turn();
  await once(socket, "close");
  clearTimeout(timer);
  wasm.disconnected(performance.now());
  return [...told, ...client.events().map(([what, value]) => `${what} ${value}`)];
}

const tests = [imports_nothing, a_link_from_greeting_to_goaway, a_foreign_peer_is_left];
if (server) tests.push(a_link_to_a_server);
for (const test of tests) {
  await test();
  console.log(`${test.name}: ok`);
}
