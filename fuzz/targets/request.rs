#![no_main]

#[allow(dead_code, reason = "a target calls one of them")]
#[path = "../readers.rs"]
mod readers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    readers::request(bytes);
});
