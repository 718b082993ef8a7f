//! What is odd about a file that is read all the same.

use std::fmt;
use std::ops::Range;

/// The most remarks kept of one file.
const MAX_REMARKS: usize = 100;

/// Something odd about a file that did not keep it from being read.
#[derive(Debug, Clone, PartialEq)]
pub struct Remark {
    /// The frames concerned, of those that the reader gives; they are silent. None for the file as a whole.
    pub frames: Option<Range<u64>>,
    /// What is odd.
    pub reason: String,
    sample_rate: u32,
}

impl Remark {
    pub(super) fn on_file(reason: String) -> Self {
        Self { frames: None, reason, sample_rate: 1 }
    }

    /// Adds a remark, or lengthens the last one where it goes on.
    pub(super) fn add(remarks: &mut Vec<Self>, frames: Option<Range<u64>>, reason: String, sample_rate: u32) {
        if let (Some(Self { frames: Some(last), .. }), Some(frames)) = (remarks.last_mut(), &frames)
            && last.end == frames.start
        {
            last.end = frames.end;
            return;
        }
        if remarks.len() < MAX_REMARKS {
            remarks.push(Self { frames, reason, sample_rate: sample_rate.max(1) });
        }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(frames) = &self.frames else { return f.write_str(&self.reason) };
        let seconds = |frame: u64| frame as f64 / f64::from(self.sample_rate);
        if frames.is_empty() {
            return write!(f, "at sample {} ({:.3} s): {}", frames.start, seconds(frames.start), self.reason);
        }
        write!(
            f,
            "samples {} to {} ({:.3} s to {:.3} s) are silent: {}",
            frames.start,
            frames.end,
            seconds(frames.start),
            seconds(frames.end),
            self.reason
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjoining_places_are_one() {
        let mut remarks = Vec::new();
        for frames in [Some(10..20), Some(20..20), Some(20..30), Some(40..50), None] {
            Remark::add(&mut remarks, frames, "damaged".into(), 10);
        }
        let shown: Vec<String> = remarks.iter().map(Remark::to_string).collect();
        let silent = |range| format!("samples {range} are silent: damaged");
        assert_eq!(
            shown,
            [silent("10 to 30 (1.000 s to 3.000 s)"), silent("40 to 50 (4.000 s to 5.000 s)"), "damaged".into()]
        );
        (0..200).for_each(|_| Remark::add(&mut remarks, None, "odd".into(), 10));
        assert_eq!(remarks.len(), MAX_REMARKS);
    }
}
