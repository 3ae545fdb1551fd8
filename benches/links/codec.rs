//! The other server: tokio-util's `LengthDelimitedCodec` finds the frames, a task for each link does the rest by hand. It
//! answers greetings, of which it knows the newest of each device, and heartbeats, and closes links that are idle. No
//! messages, no mailboxes.

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use longlink::session::{GoAway, GoAwayCode, Hello};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Builder;
use tokio::time::timeout;
use tokio_util::bytes::{BufMut, Bytes, BytesMut};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

const HEARTBEAT: u32 = 6;
const HELLO: u32 = 205;
const GOAWAY: u32 = 247;
const REPLY: u32 = 1_000_000_000;
const IDLE: Duration = Duration::from_secs(900);
const MAX_FRAME: u32 = 65_792;

/// The epoch and the link that greeted last, by account and device.
type Devices = Arc<Mutex<HashMap<(String, u64), (u32, u32)>>>;

/// Says where it listens, and accepts links until it is killed.
pub(crate) fn serve() -> Result<()> {
    Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = listen()?;
        println!("listening on {}", listener.local_addr()?);
        let devices = Devices::default();
        for id in 1.. {
            let (stream, peer) = listener.accept().await?;
            stream.set_nodelay(true)?;
            eprintln!("link {id}: connected from {peer}");
            let devices = Arc::clone(&devices);
            tokio::spawn(async move {
                if let Err(error) = hold(stream, devices).await {
                    eprintln!("link {id}: {error}");
                }
            });
        }
        Ok(())
    })
}

fn listen() -> Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind("127.0.0.1:0".parse()?)?;
    Ok(socket.listen(65_535)?)
}

/// One link, until its peer ends it or is silent for too long.
async fn hold(stream: TcpStream, devices: Devices) -> Result<()> {
    // The length counts its own four bytes too.
    let codec = LengthDelimitedCodec::builder().length_adjustment(-4).max_frame_length(MAX_FRAME as usize).new_codec();
    let mut frames = Framed::new(stream, codec);
    while let Ok(next) = timeout(IDLE, frames.next()).await {
        let Some(frame) = next.transpose()? else { return Ok(()) };
        let (header, body) = frame.split_first_chunk::<12>().context("a frame without a header")?;
        let [0, 16, 0, 1, c3, c2, c1, c0, s3, s2, s1, s0] = *header else { bail!("a header of another kind") };
        let (command, sequence) = (u32::from_be_bytes([c3, c2, c1, c0]), u32::from_be_bytes([s3, s2, s1, s0]));
        match command {
            HEARTBEAT => frames.send(encode(HEARTBEAT + REPLY, sequence, b"")).await?,
            HELLO => {
                let reply = greet(&Hello::decode(body)?, &devices)?;
                frames.send(encode(HELLO + REPLY, sequence, &reply)).await?;
            }
            GOAWAY => return Ok(()),
            other => bail!("command {other} is not known here"),
        }
    }
    Ok(frames.send(encode(GOAWAY, 0, &GoAway::new(GoAwayCode::Idle).to_bytes())).await?)
}

/// Takes the device's newest link, and tells it that nothing of its messages is stored.
fn greet(hello: &Hello<'_>, devices: &Devices) -> Result<[u8; 36]> {
    let account = str::from_utf8(hello.token)?.to_owned();
    let mut devices = devices.lock().unwrap_or_else(PoisonError::into_inner);
    let known = devices.entry((account, hello.device.get())).or_insert((0, 0));
    let epoch = hello.epoch.map_or(known.0 + 1, |epoch| epoch.get());
    if (epoch, hello.link) <= *known {
        bail!("a later link has greeted");
    }
    *known = (epoch, hello.link);
    let mut reply = [0; 36];
    reply[..8].copy_from_slice(&[0x81, 0, 0, 8, 0x03, 0x84, 0, 0]);
    reply[8..12].copy_from_slice(&epoch.to_be_bytes());
    reply[12..16].copy_from_slice(&hello.link.to_be_bytes());
    reply[16..20].copy_from_slice(&MAX_FRAME.to_be_bytes());
    Ok(reply)
}

/// A frame without its length, which the codec writes.
fn encode(command: u32, sequence: u32, body: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(12 + body.len());
    frame.put_slice(&[0, 16, 0, 1]);
    frame.put_u32(command);
    frame.put_u32(sequence);
    frame.put_slice(body);
    frame.freeze()
}
