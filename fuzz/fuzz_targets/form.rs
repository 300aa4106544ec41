//! libFuzzer's side of `grantd::fuzzing::form`, where the properties stand.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| grantd::fuzzing::form(data));
