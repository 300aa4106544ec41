//! libFuzzer's side of `grantd::fuzzing::key_file`, where the properties stand.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| grantd::fuzzing::key_file(data));
