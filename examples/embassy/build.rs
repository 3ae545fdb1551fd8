//! Has the image linked as cortex-m-rt says, with the memory of the chip that the crate `lm3s6965` knows. For TLS, has the
//! certificate of the example server in the form that is in the handshake.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-arg-bins=--nmagic");
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    #[cfg(feature = "tls")]
    decode_certificate()?;
    Ok(())
}

#[cfg(feature = "tls")]
fn decode_certificate() -> Result<(), Box<dyn Error>> {
    const CERTIFICATE: &str = "../support/tls/localhost.pem";
    println!("cargo:rerun-if-changed={CERTIFICATE}");
    let (_, der) = pem_rfc7468::decode_vec(&std::fs::read(CERTIFICATE)?).map_err(|error| error.to_string())?;
    std::fs::write(std::path::Path::new(&std::env::var("OUT_DIR")?).join("authority.der"), der)?;
    Ok(())
}
