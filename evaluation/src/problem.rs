//! Failures and remarks of a study, each with the file, codec and bitrate that it concerns.

use serde::Serialize;

/// A failure or remark, with the file, codec and bitrate that it concerns; those that are `None` don't matter to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Problem {
    /// Name of the file.
    pub file: Option<String>,
    /// Name of the codec.
    pub codec: Option<String>,
    /// Bitrate that was asked for, in kbit/s.
    pub rate_asked: Option<f64>,
    /// Description in words.
    pub what: String,
}

impl Problem {
    /// About a file.
    pub fn of_file(file: impl Into<String>, what: impl Into<String>) -> Self {
        Self { file: Some(file.into()), codec: None, rate_asked: None, what: what.into() }
    }

    /// About a codec.
    pub fn of_codec(codec: impl Into<String>, what: impl Into<String>) -> Self {
        Self { file: None, codec: Some(codec.into()), rate_asked: None, what: what.into() }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rate = self.rate_asked.map(|rate| format!("{rate} kbit/s"));
        let about: Vec<&str> = [&self.file, &self.codec, &rate].into_iter().flatten().map(String::as_str).collect();
        if about.is_empty() { write!(f, "{}", self.what) } else { write!(f, "{}: {}", about.join(", "), self.what) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_say_what_they_are_about() {
        let mut problem = Problem::of_codec("opus", "crashed");
        assert_eq!(problem.to_string(), "opus: crashed");
        (problem.file, problem.rate_asked) = (Some("a.wav".to_owned()), Some(6.0));
        assert_eq!(problem.to_string(), "a.wav, opus, 6 kbit/s: crashed");
    }
}
