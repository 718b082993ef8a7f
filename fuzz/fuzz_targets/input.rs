#![no_main]

// The reader turns panics of Symphonia into errors; all others stop the fuzzer.
libfuzzer_sys::fuzz_target!(
    init: {
        let abort = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !panic.location().is_some_and(|location| location.file().contains("symphonia")) {
                abort(panic);
            }
        }));
    },
    |data: &[u8]| spiccato_fuzz::input(data)
);
