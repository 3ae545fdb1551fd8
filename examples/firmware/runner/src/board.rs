//! A machine of QEMU with the firmware in it, and what it logs.

use anyhow::{Context, Result, anyhow, bail};
use clap::ValueEnum;
use defmt_decoder::{DecodeError, Frame, StreamDecoder, Table};
use std::fs;
use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, ValueEnum)]
pub enum Board {
    /// A Cortex-M3.
    Lm3s6965evb,
    /// A RISC-V, 32 bits.
    Virt,
}

impl Board {
    /// What the firmware is built for.
    pub fn target(self) -> &'static str {
        match self {
            Self::Lm3s6965evb => "thumbv7m-none-eabi",
            Self::Virt => "riscv32imc-unknown-none-elf",
        }
    }

    fn command(self) -> Command {
        let (program, machine): (_, &[_]) = match self {
            Self::Lm3s6965evb => ("qemu-system-arm", &["-machine", "lm3s6965evb"]),
            Self::Virt => ("qemu-system-riscv32", &["-machine", "virt", "-bios", "none"]),
        };
        let mut command = Command::new(program);
        command.args(machine);
        command
    }
}

/// What happens in a run.
pub enum News {
    Log(Result<Line>),
    /// The log has ended.
    Over,
    /// The message has passed that the modem waited for.
    Caught,
}

/// A line of the log.
pub struct Line {
    pub time: String,
    pub level: &'static str,
    pub text: String,
}

/// The machine that runs. It is switched off when this is dropped.
pub struct Machine {
    qemu: Child,
}

impl Machine {
    /// Switches it on. Returns its UART, too.
    pub fn start(board: Board, firmware: &Path, news: Sender<News>, deadline: Instant) -> Result<(Self, TcpStream)> {
        let elf = fs::read(firmware).with_context(|| format!("cannot read {}", firmware.display()))?;
        let table = Table::parse(&elf)?.ok_or_else(|| anyhow!("the image has no logs"))?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut qemu = board
            .command()
            .args(["-display", "none", "-monitor", "none", "-semihosting-config", "enable=on,target=native"])
            .args(["-serial", &format!("tcp:{},nodelay=on", listener.local_addr()?)])
            .arg("-kernel")
            .arg(firmware)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start QEMU: is it installed?")?;
        let log = qemu.stdout.take();
        let mut machine = Self { qemu };
        let log = log.context("QEMU has no standard output")?;
        thread::spawn(move || decode(log, &table, &news));
        let uart = machine.accept(&listener, deadline)?;
        Ok((machine, uart))
    }

    /// Waits until it is switched off, which the firmware does.
    pub fn wait(&mut self, deadline: Instant) -> Result<ExitStatus> {
        wait(&mut self.qemu, deadline).context("waiting for QEMU")
    }

    fn accept(&mut self, listener: &TcpListener, deadline: Instant) -> Result<TcpStream> {
        listener.set_nonblocking(true)?;
        loop {
            match listener.accept() {
                Ok((uart, _)) => {
                    uart.set_nonblocking(false)?;
                    uart.set_nodelay(true)?;
                    return Ok(uart);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
            if self.qemu.try_wait()?.is_some() || Instant::now() > deadline {
                bail!("QEMU did not open its UART");
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// Waits for the end of a process; kills one that does not end in time.
pub fn wait(process: &mut Child, deadline: Instant) -> Result<ExitStatus> {
    while Instant::now() < deadline {
        if let Some(status) = process.try_wait()? {
            return Ok(status);
        }
        thread::sleep(Duration::from_millis(5));
    }
    process.kill()?;
    process.wait()?;
    bail!("it did not end in time")
}

/// Until the log ends.
fn decode(mut log: ChildStdout, table: &Table, news: &Sender<News>) {
    let mut decoder = table.new_stream_decoder();
    let mut bytes = [0; 1_024];
    loop {
        match log.read(&mut bytes) {
            Ok(0) => break,
            Ok(n) => decoder.received(&bytes[..n]),
            Err(error) => {
                let _ = news.send(News::Log(Err(error.into())));
                break;
            }
        }
        while let Some(line) = next(&mut *decoder) {
            let _ = news.send(News::Log(line));
        }
    }
    let _ = news.send(News::Over);
}

fn next(decoder: &mut dyn StreamDecoder) -> Option<Result<Line>> {
    match decoder.decode() {
        Ok(frame) => Some(Ok(line(&frame))),
        Err(DecodeError::UnexpectedEof) => None,
        Err(DecodeError::Malformed) => Some(Err(anyhow!("the log is malformed"))),
    }
}

fn line(frame: &Frame<'_>) -> Line {
    let time = frame.display_timestamp().map(|time| time.to_string()).unwrap_or_default();
    let level = frame.level().map_or("print", |level| level.as_str());
    Line { time, level, text: frame.display_message().to_string() }
}
