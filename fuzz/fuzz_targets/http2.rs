#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| plenipo_fuzz::http2(input));
