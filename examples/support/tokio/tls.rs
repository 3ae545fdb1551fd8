//! TLS for both ends: rustls with ring.
//!
//! The certificate in `support/tls` is for `localhost` on test machines: everybody has its key. It is signed by itself, and was
//! made by OpenSSL, with the names `localhost`, `127.0.0.1` and `::1` in `subjectAltName`:
//!
//! ```text
//! openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=longlink test" -keyout localhost.key -out localhost.csr
//! openssl ca -selfsign -keyfile localhost.key -startdate 20200101000000Z -enddate 21000101000000Z -in localhost.csr -out localhost.pem ...
//! ```
// A program is one of the two ends.
#![allow(dead_code)]

use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const CERTIFICATE: &[u8] = include_bytes!("../tls/localhost.pem");
const KEY: &[u8] = include_bytes!("../tls/localhost.key");

/// A server with these files, both or none: then with the certificate for tests.
pub(crate) fn acceptor(certificate: Option<&Path>, key: Option<&Path>) -> Result<TlsAcceptor> {
    let read = |path: Option<&Path>, default: &[u8]| match path {
        Some(path) => std::fs::read(path).with_context(|| format!("cannot read {}", path.display())),
        None => Ok(default.to_vec()),
    };
    let (chain, key) = (read(certificate, CERTIFICATE)?, read(key, KEY)?);
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(&chain).collect::<Result<_, _>>().context("no certificate in PEM")?;
    ensure!(!chain.is_empty(), "no certificate in PEM");
    let key = PrivateKeyDer::from_pem_slice(&key).context("no private key in PEM")?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    Ok(Arc::new(config).into())
}

/// A client that trusts the certificates in this file, and those whom they have signed.
pub(crate) fn connector(authorities: &Path) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authorities).context("no certificates in PEM")? {
        roots.add(certificate.context("no certificate in PEM")?)?;
    }
    ensure!(!roots.is_empty(), "no certificate in PEM in {}", authorities.display());
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(Arc::new(config).into())
}
