#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| longlink::fuzzing::sync_ops(data));
