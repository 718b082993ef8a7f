//! Which part of the decoded signal each part of the original is compared with.
//!
//! The original is cut into patches, and each is matched with the stretch of the decoded spectrogram that is most
//! alike, in order, by dynamic programming (Hines, Skoglund, Kokaram & Harte, "ViSQOL: an objective speech quality
//! model", 2015); then the matched pairs are aligned to the sample.

use anyhow::Result;

use super::alignment::{self, Planner};
use super::gammatone::{self, Bank, HOP};
use super::similarity::{self, Field, Patch};
use super::{BANDS, Frame, PATCH, RATE};

/// How far from its own place a patch is looked for, in frames: 36 s.
const REACH: usize = 60 * PATCH;

/// Seconds between frames.
const FRAME_SECONDS: f64 = HOP as f64 / RATE;

/// A patch of the original and the stretch of the decoded signal that was matched with it.
pub(super) struct Match {
    /// Likeness of each band.
    pub(super) likeness: Frame,
    /// Start in the original and in the decoded signal, in frames; none in the latter if it has nothing to offer.
    original: usize,
    decoded: Option<usize>,
}

/// Best matches in order; none for signals that are too short.
pub(super) fn matches(original: &[Frame], decoded: &[Frame]) -> Vec<Match> {
    let frames = decoded.len();
    let mut starts: Vec<usize> =
        (PATCH / 2..original.len().saturating_sub(PATCH)).step_by(PATCH).map(|start| start - 1).collect();
    if original.len() == PATCH + PATCH / 2 {
        starts.push(PATCH / 2 - 1);
    }
    while starts.last().is_some_and(|&start| start > frames + PATCH / 2) {
        starts.pop();
    }
    let field = Field::new(decoded);
    let mut total: Vec<Vec<f64>> = Vec::new();
    let mut origin: Vec<Vec<Option<usize>>> = Vec::new();
    for (number, &start) in starts.iter().enumerate() {
        let patch = Patch::new(&original[start..start + PATCH]);
        let (mut totals, mut origins) = (vec![0.0; frames], vec![None; frames]);
        let previous = number.checked_sub(1).map(|previous| (&total[previous], starts[previous]));
        // The best end of the patches before, the latest among equals.
        let (mut best, mut best_at) = (f64::NEG_INFINITY, None);
        let low = start.saturating_sub(REACH);
        if let Some((ends, start)) = previous {
            for (at, &end) in ends.iter().enumerate().take(low).skip(start.saturating_sub(REACH)) {
                if end >= best {
                    (best, best_at) = (end, Some(at));
                }
            }
        }
        for at in low..frames.min(start + REACH + 1) {
            let likeness = field.likeness(&patch, at);
            (totals[at], origins[at]) = match previous {
                None => (likeness, None),
                // To stay in place means to do without this patch.
                Some((ends, _)) if ends[at] > likeness + best => (ends[at], Some(at)),
                Some(_) => (likeness + best, best_at),
            };
            if let Some((ends, _)) = previous
                && ends[at] >= best
            {
                (best, best_at) = (ends[at], Some(at));
            }
        }
        total.push(totals);
        origin.push(origins);
    }
    let Some((&start, totals)) = starts.last().zip(total.last()) else {
        return Vec::new();
    };
    let range = start.saturating_sub(REACH)..frames.min(start + REACH + 1);
    let mut at = range.clone().fold(range.start, |best, at| if totals[at] > totals[best] { at } else { best });
    let mut found = Vec::new();
    for (&start, origins) in starts.iter().zip(&origin).rev() {
        let left_out = origins[at] == Some(at);
        let likeness = if left_out {
            [0.0; BANDS]
        } else {
            similarity::likeness(&original[start..start + PATCH], field.patch(at))
        };
        found.push(Match { likeness, original: start, decoded: (!left_out).then_some(at) });
        at = origins[at].unwrap_or(at);
    }
    found.reverse();
    found
}

/// Compares the two stretches once more, aligned to the sample, and keeps the more similar alignment.
pub(super) fn realign(
    found: &mut Match,
    bank: &Bank,
    planner: &mut Planner,
    original: &[f64],
    decoded: &[f64],
) -> Result<()> {
    let Some(start) = found.decoded else {
        return Ok(());
    };
    let (a, b) = (stretch(original, found.original), stretch(decoded, start));
    let (a, b, _) = alignment::aligned_and_cut(&a, b, planner)?;
    let (Some(a), Some(b)) = (bank.spectrogram(&a), bank.spectrogram(&b)) else {
        return Ok(());
    };
    let (a, b) = gammatone::in_decibels(a, b);
    let likeness = similarity::likeness(&a, &b);
    let mean = |likeness: &Frame| likeness.iter().sum::<f64>();
    if mean(&likeness) >= mean(&found.likeness) {
        found.likeness = likeness;
    }
    Ok(())
}

/// Samples of a patch that starts at a frame; missing samples at the end are replaced by zeros at the start, as in the
/// reference.
fn stretch(signal: &[f64], frame: usize) -> Vec<f64> {
    let start = frame as f64 * FRAME_SECONDS;
    let end = (start + FRAME_SECONDS * PATCH as f64) * RATE;
    let last = signal.len().saturating_sub(1).min(end as usize);
    let missing = (end - signal.len() as f64).max(0.0) as usize;
    let found = &signal[((start * RATE) as usize).min(last)..last];
    std::iter::repeat_n(0.0, missing).chain(found.iter().copied()).collect()
}
