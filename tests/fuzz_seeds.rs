//! The fuzz targets over their seeds, with any compiler: every rule that a seed stands for is checked in each test run.

#![allow(clippy::unwrap_used)]

use longlink::fuzzing;
use std::{fs, path::Path};

#[track_caller]
fn run(target: &str, body: fn(&[u8])) {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let paths: Vec<_> = fs::read_dir(seeds).unwrap().map(|seed| seed.unwrap().path()).collect();
    assert!(paths.len() >= 20, "only {} seeds of {target}", paths.len());
    for path in paths {
        // Shown only if the seed fails.
        println!("{}", path.display());
        body(&fs::read(path).unwrap());
    }
}

#[test]
fn seeds_of_decode_break_no_rule() {
    run("decode", fuzzing::decode);
}

#[test]
fn seeds_of_decoder_chunks_break_no_rule() {
    run("decoder_chunks", fuzzing::decoder_chunks);
}

#[test]
fn seeds_of_liveness_ops_break_no_rule() {
    run("liveness_ops", fuzzing::liveness_ops);
}

#[test]
fn seeds_of_session_ops_break_no_rule() {
    run("session_ops", fuzzing::session_ops);
}

#[test]
fn seeds_of_sync_body_break_no_rule() {
    run("sync_body", fuzzing::sync_body);
}

#[test]
fn seeds_of_sync_ops_break_no_rule() {
    run("sync_ops", fuzzing::sync_ops);
}

#[test]
fn seeds_of_transfer_break_no_rule() {
    run("transfer", fuzzing::transfer);
}
