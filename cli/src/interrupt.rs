//! Interrupts: unfinished output files are removed before the program ends; work that can end by itself is told instead.

use std::sync::atomic::{AtomicBool, Ordering};

use spiccato::atomic_file::remove_temporary_files;

/// Whether the running command ends by itself once it is asked to.
static COOPERATIVE: AtomicBool = AtomicBool::new(false);

/// Whether it was asked to.
static ASKED: AtomicBool = AtomicBool::new(false);

/// From now on, interrupts only set the flag that this gives; the second one ends the program all the same.
#[cfg(any(feature = "train", feature = "research"))]
pub(crate) fn stop_by_flag() -> &'static AtomicBool {
    COOPERATIVE.store(true, Ordering::SeqCst);
    &ASKED
}

/// True if the signal is only to be noted.
fn note() -> bool {
    COOPERATIVE.load(Ordering::SeqCst) && !ASKED.swap(true, Ordering::SeqCst)
}

/// Removes unfinished output files when the program is interrupted, terminated or hung up, and ends it as the signal would have.
#[cfg(unix)]
pub(crate) fn clean_up_on_interrupt() {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    let ignored = ignored_signals();
    let wanted = [SIGHUP, SIGINT, SIGQUIT, SIGTERM].into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
    let Ok(mut signals) = signal_hook::iterator::Signals::new(wanted) else { return };
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if !note() {
                remove_temporary_files();
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
        }
    });
}

/// Signals that this program was started to ignore, as by `nohup`: a bit each. Only Linux says so without a system call.
#[cfg(unix)]
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Removes unfinished output files when the program is interrupted, and ends it.
#[cfg(not(unix))]
pub(crate) fn clean_up_on_interrupt() {
    let _ = ctrlc::set_handler(|| {
        if !note() {
            remove_temporary_files();
            std::process::exit(130);
        }
    });
}
