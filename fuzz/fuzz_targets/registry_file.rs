//! libFuzzer's side of `grantd::fuzzing::registry_file`, where the properties stand.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| grantd::fuzzing::registry_file(data));
