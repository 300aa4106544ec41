//! libFuzzer's side of `grantd::fuzzing::stored_record`, where the properties stand.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| grantd::fuzzing::stored_record(data));
