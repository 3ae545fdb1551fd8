//! Only `measure` is run, and has a memory map for it: that of QEMU's `mps2-an386`.

fn main() {
    let here = env!("CARGO_MANIFEST_DIR");
    println!("cargo::rustc-link-arg-bin=measure=-L{here}");
    println!("cargo::rustc-link-arg-bin=measure=-Tlink.x");
    println!("cargo::rerun-if-changed=memory.x");
}
