//! A piece of music as the analyses see it: the events of a recording and the notes that were played.

use anyhow::{Result, ensure};
use spiccato::events::EventMatrix;
use spiccato::signal::{HOP, SAMPLE_RATE};

use super::midi::Note;

/// Frames of events in a second.
pub const FRAME_RATE: f64 = SAMPLE_RATE as f64 / HOP as f64;

/// Least number of strikes in a piece: fewer can't be shifted against each other.
pub(super) const LEAST_STRIKES: usize = 64;

/// Least number of frames in a piece, 10 seconds.
const LEAST_FRAMES: u32 = 625;

/// Share of the strikes that may lie beyond the end of the events.
const STRAY_SHARE: f64 = 0.02;

/// The events of a recording and the notes that were played.
#[derive(Debug, Clone)]
pub struct Piece {
    name: String,
    events: EventMatrix,
    notes: Vec<Note>,
    /// Frame and key of every strike, in the order of time.
    strikes: Vec<(u32, u8)>,
}

impl Piece {
    /// A piece from events and the notes of the same performance.
    ///
    /// # Errors
    /// If there is too little of it, or the notes go on after the end of the events.
    pub fn new(name: impl Into<String>, events: EventMatrix, notes: Vec<Note>) -> Result<Self> {
        let name = name.into();
        let frame = |note: &Note| (note.onset * FRAME_RATE).round() as u32;
        let mut strikes: Vec<(u32, u8)> = notes.iter().map(|note| (frame(note), note.key)).collect();
        strikes.sort_unstable();
        strikes.dedup();
        let all = strikes.len();
        strikes.retain(|&(frame, _)| frame < events.frames());
        ensure!(
            (all - strikes.len()) as f64 <= STRAY_SHARE * all as f64,
            "{name}: {} of {all} notes begin after the end of the audio: is this MIDI file its performance?",
            all - strikes.len()
        );
        ensure!(
            strikes.len() >= LEAST_STRIKES && events.frames() >= LEAST_FRAMES,
            "{name}: {} notes in {:.1} s are too little to tell chance from more; at least {LEAST_STRIKES} in {:.0} s",
            strikes.len(),
            f64::from(events.frames()) / FRAME_RATE,
            f64::from(LEAST_FRAMES) / FRAME_RATE
        );
        Ok(Self { name, events, notes, strikes })
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its events.
    pub fn events(&self) -> &EventMatrix {
        &self.events
    }

    /// The notes, in the order of their onsets.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Frame and key of every strike, in the order of time; equal keys in one frame count once.
    pub fn strikes(&self) -> &[(u32, u8)] {
        &self.strikes
    }

    /// Its length in seconds.
    pub fn seconds(&self) -> f64 {
        f64::from(self.events.frames()) / FRAME_RATE
    }

    /// When the first note begins, in seconds.
    pub fn first_onset(&self) -> f64 {
        self.notes.first().map_or(0.0, |note| note.onset)
    }
}

/// The number of neurons, which must be the same in all pieces.
pub(super) fn neurons_of(pieces: &[Piece]) -> Result<usize> {
    let neurons = pieces.first().map_or(0, |piece| piece.events.neurons());
    ensure!(neurons > 0, "there is no piece");
    ensure!(pieces.iter().all(|piece| piece.events.neurons() == neurons), "pieces of different models");
    Ok(neurons.into())
}

#[cfg(test)]
pub(in crate::selectivity) mod tests {
    use super::*;
    use spiccato_neurons::Random;

    /// Neurons of the synthetic pieces: neuron 0 answers to key 30 only, neuron 1 to any key, neuron 2 to keys 50 and
    /// 62, always two frames after the strike; the others fire by chance.
    pub(in crate::selectivity) const NEURONS: u16 = 24;

    /// Pieces of random notes with events by construction, or with all events moved by half a piece.
    pub(in crate::selectivity) fn synthetic(shuffled: bool) -> Vec<Piece> {
        let mut random = Random::new(11, 0);
        let pieces = (0..3).map(|i| {
            let frames = 6000 + 1000 * i;
            let mut notes = Vec::new();
            let mut cells = vec![false; (frames * u32::from(NEURONS)) as usize];
            cells.iter_mut().for_each(|cell| *cell = random.chance(0.01));
            let mut frame = 20;
            while frame + 20 < frames {
                let key = 20 + random.below(50) as u8;
                let onset = f64::from(frame) / FRAME_RATE;
                notes.push(Note { key, onset, release: onset + 0.3, velocity: 64 });
                let answers: &[u16] = match key {
                    30 => &[0, 1],
                    50 | 62 => &[1, 2],
                    _ => &[1],
                };
                for &neuron in answers {
                    if random.chance(0.8) {
                        let heard = (frame + 2 + if shuffled { frames / 2 } else { 0 }) % frames;
                        cells[(heard * u32::from(NEURONS)) as usize + usize::from(neuron)] = true;
                    }
                }
                frame += 3 + random.below(22) as u32;
            }
            let events = EventMatrix::from_dense(NEURONS, &cells, |&cell| cell).unwrap();
            Piece::new(format!("piece {i}"), events, notes).unwrap()
        });
        pieces.collect()
    }

    #[test]
    fn too_little_music_and_the_wrong_notes_are_refused() {
        let note = |onset| Note { key: 40, onset, release: onset + 0.1, velocity: 64 };
        let events = || EventMatrix::silent(1000, 8).unwrap();
        let refusal = |notes| Piece::new("a.wav", events(), notes).err().unwrap().to_string();
        let message = refusal(vec![note(1.0)]);
        assert!(message.contains("a.wav: 1 notes in 16.0 s"), "{message}");
        let message = refusal((0..200).map(|i| note(f64::from(i) * 0.2)).collect());
        assert!(message.contains("120 of 200 notes begin after the end"), "{message}");
        assert!(Piece::new("a.wav", events(), (0..100).map(|i| note(f64::from(i) * 0.15)).collect()).is_ok());
    }
}
