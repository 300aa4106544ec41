//! libFuzzer's side of `grantd::fuzzing::journal_line`, where the properties stand.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| grantd::fuzzing::journal_line(data));
