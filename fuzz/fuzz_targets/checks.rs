#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    kbisect_fuzz::Target::named("checks").expect("it is in the list").run(input);
});
