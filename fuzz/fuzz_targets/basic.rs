//! libFuzzer's side of `grantd::fuzzing::basic`, where the properties stand.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| grantd::fuzzing::basic(data));
