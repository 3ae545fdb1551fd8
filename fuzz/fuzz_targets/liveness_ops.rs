#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| longlink::fuzzing::liveness_ops(data));
