//! TLS 1.3 between the UART and the link, by embedded-tls, without an allocator; the server's certificate is checked. Of this
//! board's 64 KB it takes 17 KB for records, and in the handshake 30 KB of stack.
//!
//! A connection is split into its halves, for [`run_buffered`]:
//!
//! * Its read must not be dropped while it is pending, or the header of a record that has come in part is lost.
//!   `run_buffered` awaits it to its end.
//! * Its write must not be either, or a record stays half-written. `run_buffered` awaits that to its end, too, beside all else.
//!
//! What a real device changes: the random numbers come from the chip's generator, and a chip that knows the time has it
//! checked that the certificate is valid today ([`TlsClock`](embedded_tls::TlsClock)).

use crate::board::Uart;
use core::task::Context;
use embassy_time::{Duration, with_timeout};
use embedded_io_async::{ErrorType, Read};
use embedded_tls::pki::CertVerifier;
use embedded_tls::{Aes128GcmSha256, Certificate, CryptoProvider, CryptoRngCore, NoClock, TlsConfig, TlsConnection};
use embedded_tls::{TlsContext, TlsError, TlsReader, TlsVerifier};
use longlink::Instant;
use longlink::io::task::{Clock, run_buffered};
use longlink::session::{Client, Disconnect, Event, Link};
use rand_core::{CryptoRng, RngCore};
use static_cell::ConstStaticCell;

/// Who signed the server's certificate; the example server's did so itself.
const AUTHORITY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/authority.der"));
const SERVER_NAME: &str = "localhost";

/// A handshake may take so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// So much is written as one record at most.
const LONGEST_WRITE: usize = 512;
/// The longest record that there is, and this side's, of which the handshake has the longest.
static BUFFERS: ConstStaticCell<([u8; 16_640], [u8; 1_024])> = ConstStaticCell::new(([0; 16_640], [0; 1_024]));

/// Shakes hands, runs the link to its end, and says farewell.
pub(crate) async fn run<'b>(
    link: &mut Link<Client<'b>, &mut [u8]>,
    uart: Uart,
    clock: &impl Clock,
    app: impl FnMut(&mut Context<'_>, Instant, &mut Client<'b>, Option<Event<'_>>),
) -> Result<Disconnect, TlsError> {
    let mut connection = connect(uart).await?;
    link.handle_connected(clock.now());
    let (reader, mut write) = connection.split();
    let (mut read, mut buffer) = (Reader(reader), [0; LONGEST_WRITE]);
    let over = run_buffered(link, &mut read, &mut write, &mut buffer, clock, app).await;
    // An error means that the server was faster.
    let _ = connection.close().await;
    over
}

async fn connect(uart: Uart) -> Result<TlsConnection<'static, Uart, Aes128GcmSha256>, TlsError> {
    let (read, write) = BUFFERS.try_take().ok_or(TlsError::OutOfMemory)?;
    let mut connection = TlsConnection::new(uart, read, write);
    let config = TlsConfig::new().with_server_name(SERVER_NAME);
    let mut crypto = Crypto::new();
    // On a wire the end of a server that has nothing to say cannot be heard.
    let open = connection.open(TlsContext::new(&config, &mut crypto));
    with_timeout(PATIENCE, open).await.unwrap_or(Err(TlsError::IoError))?;
    Ok(connection)
}

/// What is read, with the end of the stream as every other transport has it.
pub(crate) struct Reader<'c>(TlsReader<'c, Uart, Aes128GcmSha256>);

impl ErrorType for Reader<'_> {
    type Error = TlsError;
}

impl Read for Reader<'_> {
    async fn read(&mut self, space: &mut [u8]) -> Result<usize, TlsError> {
        match self.0.read(space).await {
            Err(TlsError::ConnectionClosed) => Ok(0),
            read => read,
        }
    }
}

/// What the handshake needs.
struct Crypto {
    random: NotRandom,
    /// Certificates of up to 1 KiB.
    verifier: CertVerifier<'static, Aes128GcmSha256, NoClock, 1_024>,
}

impl Crypto {
    fn new() -> Self {
        let verifier = CertVerifier::new(Certificate::X509(AUTHORITY));
        Self { random: NotRandom(0x9E37_79B9_7F4A_7C15), verifier }
    }
}

impl CryptoProvider for Crypto {
    type CipherSuite = Aes128GcmSha256;
    /// This side signs nothing.
    type Signature = [u8; 0];

    fn rng(&mut self) -> impl CryptoRngCore {
        &mut self.random
    }

    fn verifier(&mut self) -> Result<&mut impl TlsVerifier<Aes128GcmSha256>, TlsError> {
        Ok(&mut self.verifier)
    }
}

/// **Always the same numbers**, of which an attacker makes the keys: QEMU's board has no source of entropy. On a chip take its
/// random number generator.
struct NotRandom(u64);

/// It is none.
impl CryptoRng for NotRandom {}

impl RngCore for NotRandom {
    fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        rand_core::impls::fill_bytes_via_next(self, bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}
