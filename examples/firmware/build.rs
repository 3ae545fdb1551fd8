//! Puts the memory map of the board where the linker finds it, and names the linker scripts.

use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let board = match env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
        Ok("riscv32") => "virt",
        _ => "lm3s6965evb",
    };
    let map = format!("memory/{board}.x");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::copy(&map, out.join("memory.x"))?;
    println!("cargo:rerun-if-changed={map}");
    println!("cargo:rustc-link-search={}", out.display());
    for script in ["link.x", "defmt.x"] {
        println!("cargo:rustc-link-arg-bins=-T{script}");
    }
    Ok(())
}
