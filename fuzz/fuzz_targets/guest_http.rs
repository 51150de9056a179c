#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    kbisect_fuzz::Target::named("guest_http").expect("it is in the list").run(input);
});
