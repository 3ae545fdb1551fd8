//! Fails unless `src/types.rs` names every public type of the library, and puts the memory map where the linker finds it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

const LIBRARY: &str = "../../src";
const LIST: &str = "src/types.rs";

/// An LM3S6965.
const MEMORY: &str = "MEMORY { FLASH : ORIGIN = 0, LENGTH = 256K RAM : ORIGIN = 0x20000000, LENGTH = 64K }";

fn main() -> io::Result<()> {
    let mut files = Vec::new();
    find(Path::new(LIBRARY), &mut files)?;
    let mut there = BTreeSet::new();
    for file in &files {
        let module = module_of(file)?;
        let text = fs::read_to_string(file)?;
        there.extend(text.lines().filter_map(declared).map(|name| format!("{module}::{name}")));
    }
    let list = fs::read_to_string(LIST)?;
    let listed: BTreeSet<_> = list.lines().filter_map(named).collect();
    let missing: Vec<_> = there.difference(&listed).collect();
    assert!(missing.is_empty(), "{LIST} lacks {missing:#?}");
    let gone: Vec<_> = listed.difference(&there).collect();
    assert!(gone.is_empty(), "{LIST} has, and the library has not, {gone:#?}");

    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("memory.x"), MEMORY)?;
    println!("cargo:rustc-link-search={}", out.display());
    for script in ["link.x", "defmt.x"] {
        println!("cargo:rustc-link-arg-bins=-T{script}");
    }
    for watched in [LIBRARY, LIST, "build.rs"] {
        println!("cargo:rerun-if-changed={watched}");
    }
    Ok(())
}

/// All source files but the bodies of the fuzz targets, which are not part of the interface.
fn find(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.ends_with("fuzzing") || path.ends_with("fuzzing.rs") {
            continue;
        }
        if path.is_dir() {
            find(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// The public module that a file belongs to: as far as its path is one of public modules. Types in modules below are
/// exported from there; that all that is `pub` is exported somewhere is what the lint `unreachable_pub` sees to.
fn module_of(file: &Path) -> io::Result<String> {
    let mut module = String::from("longlink");
    let mut folder = PathBuf::from(LIBRARY);
    let mut parent = folder.join("lib.rs");
    let inside = file.strip_prefix(LIBRARY).unwrap_or(file).with_extension("");
    for name in inside.iter().filter_map(|name| name.to_str()) {
        if !fs::read_to_string(&parent)?.lines().any(|line| line == format!("pub mod {name};")) {
            break;
        }
        module.extend(["::", name]);
        folder.push(name);
        parent = folder.join("mod.rs");
        if !parent.exists() {
            parent = folder.with_extension("rs");
        }
    }
    Ok(module)
}

/// The type that a line of the library declares.
fn declared(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "))?;
    rest.split(|letter: char| !letter.is_alphanumeric()).next()
}

/// The type that a line of the list names, without its parameters.
fn named(line: &str) -> Option<String> {
    let line = line.trim();
    let path = line.starts_with("longlink::").then(|| line.trim_end_matches(','))?;
    Some(path.split('<').next().unwrap_or(path).to_owned())
}
