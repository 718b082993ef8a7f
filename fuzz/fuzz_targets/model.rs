#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spiccato_fuzz::model(data));
