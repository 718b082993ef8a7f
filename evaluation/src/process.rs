//! Runs external programs with a time limit and measures the processor time and peak memory that they use, as the
//! system counts them (`getrusage` with `RUSAGE_CHILDREN`, POSIX).
//!
//! On many systems the peak memory of a program includes that of the process which started it. An evaluation holds
//! audio and spectra, so it starts external codecs through a small helper process: [`HelperProcess`].

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Resources and output of a program that ended successfully.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time of the program and the programs it started, in seconds.
    pub cpu_seconds: f64,
    /// Most memory held at one time; not known on every system.
    pub peak_bytes: Option<u64>,
    /// The beginning of its standard output and error output.
    pub said: String,
}

/// Bytes of a program's output that are kept.
const OUTPUT_BYTES: u64 = 4096;

/// Characters of it that go into a message.
const MESSAGE_CHARACTERS: usize = 240;

/// Runs a program without input and waits for it: `command` is the program and its arguments. When `limit` is over or
/// `stop` is set, it is ended together with the programs it started.
///
/// The counters are those of all children of this process that ended meanwhile, and the peak memory includes what this
/// process holds when it starts the child: to measure, call this in a small process that does nothing else, such as the
/// one that [`HelperProcess`] starts.
///
/// # Errors
/// A message that says whether the program was not found, refused, crashed, or took too long.
pub fn run(command: &[OsString], limit: Duration, stop: &AtomicBool) -> Result<Usage, String> {
    let (program, arguments) = command.split_first().ok_or("no program to run")?;
    let name = Path::new(program).file_name().unwrap_or(program).display();
    let failed = |error: std::io::Error| format!("{name}: {error}");
    let mut output = tempfile::tempfile().map_err(failed)?;
    let copy = |file: &File| file.try_clone().map(Stdio::from).map_err(failed);
    let mut prepared = Command::new(program);
    prepared.args(arguments).stdin(Stdio::null()).stdout(copy(&output)?).stderr(copy(&output)?);
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut prepared, 0);
    let before = Counters::read();
    let mut child = prepared.spawn().map_err(failed)?;
    let status = wait(&mut child, limit, stop).map_err(failed)?;
    let after = Counters::read();
    let mut said = String::new();
    if output.rewind().is_ok() {
        let mut bytes = Vec::new();
        let _ = output.take(OUTPUT_BYTES).read_to_end(&mut bytes);
        said = String::from_utf8_lossy(&bytes).into_owned();
    }
    match status {
        Some(status) if status.success() => {
            Ok(Usage { cpu_seconds: after.cpu_seconds - before.cpu_seconds, peak_bytes: after.peak_bytes, said })
        }
        Some(status) => Err(format!("{name} {}{}", ending(status), quotation(&said))),
        None if stop.load(Ordering::Relaxed) => Err(format!("{name} was interrupted")),
        None => Err(format!("{name} took longer than {} s and was ended", limit.as_secs_f64())),
    }
}

/// A helper process that runs external codecs, so that the memory of the evaluation does not distort theirs.
///
/// The helper is any program that takes a time limit and a command, calls [`run`], and prints its result as JSON.
#[derive(Debug, Clone)]
pub struct HelperProcess {
    words: Vec<OsString>,
}

impl HelperProcess {
    /// A helper that is started as `words`, the first of which is the program. In them `{limit}` stands for the time
    /// limit in seconds; the command to run follows them.
    pub fn new(words: impl IntoIterator<Item = OsString>) -> Self {
        Self { words: words.into_iter().collect() }
    }

    /// Runs `command` in the helper, which ends it after `limit`.
    ///
    /// # Errors
    /// As [`run`], or if the helper itself fails.
    pub fn run(&self, command: &[OsString], limit: Duration) -> Result<Usage, String> {
        let limit = limit.as_secs_f64().to_string();
        let filled = self.words.iter().map(|word| if word == "{limit}" { limit.clone().into() } else { word.clone() });
        let filled: Vec<OsString> = filled.collect();
        let (program, arguments) = filled.split_first().ok_or("no helper process to start")?;
        let mut helper = Command::new(program);
        let output = helper.args(arguments).args(command).stdin(Stdio::null()).output();
        let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
        let failed = || format!("measuring failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        serde_json::from_slice::<Result<Usage, String>>(&output.stdout).map_err(|_| failed())?
    }
}

/// The exit status, or `None` if the child had to be ended.
fn wait(child: &mut Child, limit: Duration, stop: &AtomicBool) -> std::io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let elapsed = start.elapsed();
        if elapsed >= limit || stop.load(Ordering::Relaxed) {
            end(child);
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep((elapsed / 20).clamp(Duration::from_millis(1), Duration::from_millis(20)));
    }
}

/// Ends a child process and the processes that it started.
fn end(child: &mut Child) {
    #[cfg(unix)]
    if let Ok(group) = i32::try_from(child.id()) {
        use nix::sys::signal::{Signal, killpg};
        let _ = killpg(nix::unistd::Pid::from_raw(group), Signal::SIGKILL);
    }
    let _ = child.kill(); // it may have ended meanwhile
}

fn ending(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        let name = nix::sys::signal::Signal::try_from(signal).map_or("unknown", |signal| signal.as_str());
        return format!("crashed (signal {signal}, {name})");
    }
    match status.code() {
        Some(code) => format!("refused (exit code {code})"),
        None => "failed".to_owned(),
    }
}

/// The end of a program's output, in one line.
fn quotation(said: &str) -> String {
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let skipped = words.chars().count().saturating_sub(MESSAGE_CHARACTERS);
    let end: String = words.chars().skip(skipped).collect();
    match (end.is_empty(), skipped) {
        (true, _) => String::new(),
        (_, 0) => format!(": {end}"),
        _ => format!(": … {end}"),
    }
}

/// The system's counters of this process's children.
struct Counters {
    cpu_seconds: f64,
    peak_bytes: Option<u64>,
}

impl Counters {
    #[cfg(unix)]
    fn read() -> Self {
        use nix::sys::resource::{UsageWho, getrusage};
        use nix::sys::time::TimeValLike;
        let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else {
            return Self { cpu_seconds: 0.0, peak_bytes: None };
        };
        // Kilobytes, but bytes on Apple's systems.
        let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
        let microseconds = (usage.user_time() + usage.system_time()).num_microseconds();
        let peak_bytes = u64::try_from(usage.max_rss()).ok().map(|size| size * unit);
        Self { cpu_seconds: microseconds as f64 / 1e6, peak_bytes }
    }

    /// Time by the clock, where the system's counters are not at hand.
    #[cfg(not(unix))]
    fn read() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self { cpu_seconds: now.as_secs_f64(), peak_bytes: None }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Result<Usage, String> {
        run(&["sh".into(), "-c".into(), script.into()], limit, &AtomicBool::new(false))
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn output_and_use_of_a_program_are_told() {
        let usage =
            shell("echo to say; echo to warn >&2; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done", LONG).unwrap();
        assert_eq!(usage.said, "to say\nto warn\n");
        assert!(usage.cpu_seconds > 0.0 && usage.cpu_seconds < 60.0);
        assert!(usage.peak_bytes.unwrap() > 100_000);
    }

    #[test]
    fn refusals_crashes_and_absence_are_told_apart() {
        assert_eq!(shell("echo no mono; exit 3", LONG).unwrap_err(), "sh refused (exit code 3): no mono");
        assert_eq!(shell("kill -SEGV $$", LONG).unwrap_err(), "sh crashed (signal 11, SIGSEGV)");
        let absent = run(&["no-such-program-anywhere".into()], LONG, &AtomicBool::new(false)).unwrap_err();
        assert!(absent.starts_with("no-such-program-anywhere: "), "{absent}");
    }

    #[test]
    fn a_program_that_hangs_is_ended_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        // The shell waits for a child of its own, which must not survive it.
        let script = format!("sleep 1000 & echo $! > '{}'; wait", file.display());
        let message = shell(&script, Duration::from_secs(2)).unwrap_err();
        assert_eq!(message, "sh took longer than 2 s and was ended");
        let pid: i32 = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
        // Dead, or a zombie that init has yet to reap; a signal takes its time on a busy machine.
        let ended = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_err() || stat.contains(") Z ")
        };
        for _ in 0..3000 {
            if ended() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("process {pid} is still there");
    }

    #[test]
    fn a_stop_is_obeyed_and_long_output_is_cut() {
        let message = run(&["sleep".into(), "1000".into()], LONG, &AtomicBool::new(true)).unwrap_err();
        assert_eq!(message, "sleep was interrupted");
        assert_eq!(quotation(&"word ".repeat(100)).chars().count(), MESSAGE_CHARACTERS + 4);
    }

    #[test]
    fn a_helper_is_given_the_limit_and_the_command_and_answers_in_json() {
        let answer = r#"echo "{\"Ok\":{\"cpu_seconds\":$1,\"peak_bytes\":null,\"said\":\"$2 $3\"}}""#;
        let helper = HelperProcess::new(["sh", "-c", answer, "helper", "{limit}"].map(OsString::from));
        let usage = helper.run(&["enc".into(), "a.wav".into()], Duration::from_millis(2500)).unwrap();
        assert_eq!((usage.cpu_seconds, usage.said.as_str()), (2.5, "enc a.wav"));
        let broken = HelperProcess::new(["sh", "-c", "echo out of order >&2"].map(OsString::from));
        assert_eq!(broken.run(&[], LONG).unwrap_err(), "measuring failed: out of order");
    }
}
