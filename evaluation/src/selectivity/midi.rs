//! The notes of a performance from a Standard MIDI File (RP-001), through the `midly` parser.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use midly::{Format, MetaMessage, MidiMessage, Smf, Timing, TrackEventKind};

/// Keys of a piano, from A0 (key 0 here, 21 in MIDI) to C8.
pub const KEYS: usize = 88;

/// MIDI's number of the lowest key.
const LOWEST: u8 = 21;

/// Microseconds per quarter note before the file sets a tempo: 120 a minute.
const DEFAULT_TEMPO: u32 = 500_000;

/// A key held down. Pedals are not taken into account.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Note {
    /// Key, 0 to 87.
    pub key: u8,
    /// When it was struck, in seconds.
    pub onset: f64,
    /// When it was let go, in seconds.
    pub release: f64,
    /// How fast it was struck, 1 to 127.
    pub velocity: u8,
}

/// Name of a key: `A0` to `C8`, middle C being `C4`.
pub fn key_name(key: u8) -> String {
    const NAMES: [&str; 12] = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"];
    let number = usize::from(key) + usize::from(LOWEST);
    format!("{}{}", NAMES[number % 12], number / 12 - 1)
}

/// The notes in a file, in the order of their onsets; those beyond the piano's keys are left out.
///
/// # Errors
/// If the file can't be read, is no Standard MIDI File, or holds independent sequences (format 2) or no note.
pub fn read_notes(path: &Path) -> Result<Vec<Note>> {
    let name = || path.display().to_string();
    let bytes = std::fs::read(path).with_context(name)?;
    notes(&bytes).with_context(name)
}

fn notes(bytes: &[u8]) -> Result<Vec<Note>> {
    let file = Smf::parse(bytes).context("not a Standard MIDI File")?;
    if file.header.format == Format::Sequential {
        bail!("a MIDI file with independent sequences (format 2): store each in a file of its own");
    }
    // All tracks run side by side. At the same tick, what ends a note comes before what begins one.
    let mut events: Vec<(u64, Event)> = Vec::new();
    for track in &file.tracks {
        let mut tick = 0u64;
        for event in track {
            tick += u64::from(event.delta.as_int());
            events.extend(Event::new(&event.kind).map(|event| (tick, event)));
        }
    }
    events.sort();
    let mut clock = Clock::new(file.header.timing)?;
    let mut held: BTreeMap<(u8, u8), (f64, u8)> = BTreeMap::new();
    let mut notes = Vec::new();
    let mut end = 0.0;
    for (tick, event) in events {
        let now = clock.seconds(tick);
        end = now;
        let (channel, key, velocity) = match event {
            Event::Tempo(tempo) => {
                clock.set_tempo(tempo);
                continue;
            }
            Event::Off { channel, key } => (channel, key, 0),
            Event::On { channel, key, velocity } => (channel, key, velocity),
        };
        if let Some((onset, velocity)) = held.remove(&(channel, key)) {
            notes.push(Note { key, onset, release: now, velocity });
        }
        if velocity > 0 {
            held.insert((channel, key), (now, velocity));
        }
    }
    notes.extend(held.into_iter().map(|((_, key), (onset, velocity))| Note { key, onset, release: end, velocity }));
    notes.sort_by(|a, b| a.onset.total_cmp(&b.onset).then(a.key.cmp(&b.key)));
    ensure!(!notes.is_empty(), "there is no note in it");
    Ok(notes)
}

/// The relevant part of a MIDI event, in the order in which events take effect within a tick.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Tempo(u32),
    Off { channel: u8, key: u8 },
    On { channel: u8, key: u8, velocity: u8 },
}

impl Event {
    fn new(kind: &TrackEventKind<'_>) -> Option<Self> {
        match *kind {
            TrackEventKind::Meta(MetaMessage::Tempo(tempo)) => Some(Self::Tempo(tempo.as_int())),
            TrackEventKind::Midi { channel, message } => {
                let key = |number: u8| number.checked_sub(LOWEST).filter(|&key| usize::from(key) < KEYS);
                let channel = channel.as_int();
                match message {
                    MidiMessage::NoteOn { key: number, vel } if vel.as_int() > 0 => {
                        Some(Self::On { channel, key: key(number.as_int())?, velocity: vel.as_int() })
                    }
                    MidiMessage::NoteOn { key: number, .. } | MidiMessage::NoteOff { key: number, .. } => {
                        Some(Self::Off { channel, key: key(number.as_int())? })
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// Turns ticks into seconds along the tempo.
struct Clock {
    ticks_per_quarter: Option<f64>,
    seconds_per_tick: f64,
    /// Tick and time of the last change of tempo.
    since: (u64, f64),
    now: (u64, f64),
}

impl Clock {
    fn new(timing: Timing) -> Result<Self> {
        let (ticks_per_quarter, seconds_per_tick) = match timing {
            Timing::Metrical(ticks) => {
                ensure!(ticks.as_int() > 0, "the file has no ticks in a quarter note");
                let ticks = f64::from(ticks.as_int());
                (Some(ticks), f64::from(DEFAULT_TEMPO) * 1e-6 / ticks)
            }
            Timing::Timecode(frames, ticks) => {
                ensure!(ticks > 0, "the file has no ticks in a frame");
                (None, 1.0 / f64::from(frames.as_f32()) / f64::from(ticks))
            }
        };
        Ok(Self { ticks_per_quarter, seconds_per_tick, since: (0, 0.0), now: (0, 0.0) })
    }

    fn seconds(&mut self, tick: u64) -> f64 {
        let (tick_then, then) = self.since;
        self.now = (tick, then + (tick - tick_then) as f64 * self.seconds_per_tick);
        self.now.1
    }

    /// Sets the tempo, in microseconds per quarter note, from the tick asked for last.
    fn set_tempo(&mut self, tempo: u32) {
        if let Some(ticks) = self.ticks_per_quarter {
            self.since = self.now;
            self.seconds_per_tick = f64::from(tempo) * 1e-6 / ticks;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file by hand: header with format and division, then tracks of the bytes given.
    fn file(format: u8, division: u16, tracks: &[&[u8]]) -> Vec<u8> {
        let mut bytes = b"MThd\0\0\0\x06\0".to_vec();
        bytes.extend([format, 0, tracks.len() as u8]);
        bytes.extend(division.to_be_bytes());
        for track in tracks {
            bytes.extend(b"MTrk");
            bytes.extend((track.len() as u32 + 4).to_be_bytes());
            bytes.extend_from_slice(track);
            bytes.extend(b"\0\xff\x2f\0");
        }
        bytes
    }

    #[test]
    fn times_follow_the_tempo_across_tracks() {
        // 100 ticks a quarter; 120 a minute, from tick 200 on 60 a minute.
        let tempo: &[u8] = &[0x81, 0x48, 0xff, 0x51, 3, 0x0f, 0x42, 0x40];
        // Middle C from tick 100 to 300; A0 at tick 300, ended by a strike of no velocity at 400; a key beyond the
        // piano.
        let keys: &[u8] =
            &[100, 0x90, 60, 64, 0x81, 0x48, 0x80, 60, 0, 0, 0x90, 21, 10, 100, 0x90, 21, 0, 0, 0x90, 109, 9];
        let notes = notes(&file(1, 100, &[tempo, keys])).unwrap();
        let expected = [
            Note { key: 39, onset: 0.5, release: 2.0, velocity: 64 },
            Note { key: 0, onset: 2.0, release: 3.0, velocity: 10 },
        ];
        assert_eq!(notes, expected);
    }

    #[test]
    fn a_key_struck_again_or_never_let_go_ends() {
        let keys: &[u8] = &[0, 0x90, 60, 64, 50, 0x90, 60, 65, 50, 0x90, 62, 1];
        let notes = notes(&file(0, 100, &[keys])).unwrap();
        let times: Vec<(f64, f64)> = notes.iter().map(|note| (note.onset, note.release)).collect();
        assert_eq!(times, [(0.0, 0.25), (0.25, 0.5), (0.5, 0.5)]);
    }

    #[test]
    fn what_is_not_a_performance_is_refused() {
        let refusal = |bytes: &[u8]| format!("{:#}", notes(bytes).unwrap_err());
        assert!(refusal(b"RIFF").contains("not a Standard MIDI File"));
        assert!(refusal(&file(2, 100, &[&[]])).contains("format 2"));
        assert!(refusal(&file(0, 100, &[&[]])).contains("no note"));
        assert!(refusal(&file(0, 0, &[&[]])).contains("no ticks"));
        let message = format!("{:#}", read_notes(Path::new("no/such.midi")).unwrap_err());
        assert!(message.contains("such.midi"), "{message}");
    }

    #[test]
    fn keys_have_their_names() {
        assert_eq!([0, 39, 40, 87].map(key_name), ["A0", "C4", "C#4", "C8"]);
    }
}
