//! See `tests/properties`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| desist_fuzz::check("notification", bytes));
