//! Settings of a training run: read from TOML, kept in the run's folder.
//!
//! The defaults are those of the run that trained the built-in model.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use spiccato::network::NetworkConfig;
use spiccato::signal::{BANDS, FeatureScale};

use crate::bottleneck::BottleneckConfig;

/// A training run. Every field has a default; unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct TrainingConfig {
    /// Sources of audio and their weights.
    pub sources: Vec<DataSource>,
    /// Seed of the initial weights and of every random choice.
    pub seed: u64,
    /// Steps of the optimiser in the whole run.
    pub steps: u64,
    /// Crops in a step.
    pub batch: usize,
    /// Frames in a crop.
    pub frames: usize,
    /// Parts of a batch that are computed side by side. Part of the arithmetic: the same number gives the same bits,
    /// whatever the number of threads.
    pub shards: usize,
    /// Learning rate after warm-up.
    pub learning_rate: f64,
    /// Steps over which the learning rate rises to its full value.
    pub warm_up: u64,
    /// Share of the run, at its end, over which the learning rate falls to zero.
    pub cool_down: f64,
    /// Decoupled weight decay of AdamW.
    pub weight_decay: f64,
    /// Largest norm of the gradient; a larger one is scaled down.
    pub gradient_norm: f64,
    /// Decay per step of the running average of the weights, which is what is validated and exported.
    pub averaging: f64,
    /// Sparsity pressure (weight of the firing rate in the loss) at quality 1 and at quality 0; between them the
    /// logarithm is linear in the quality.
    pub pressure: (f64, f64),
    /// Shares of the run at which the pressure starts to rise from zero and at which it is full.
    pub pressure_ramp: (f64, f64),
    /// Whether the pressure follows the bitrates in `target_kbps`, once the information under the prior counts; otherwise
    /// it stays as it is set.
    pub rate_control: bool,
    /// Bitrates in kbit/s, at quality 0 and at quality 1, that the pressure is to lead to; between them the logarithm is
    /// linear in the quality.
    pub target_kbps: (f64, f64),
    /// Bottleneck between encoder and decoder.
    pub bottleneck: BottleneckConfig,
    /// Steps between validations.
    pub validation_interval: u64,
    /// Seconds between checkpoints.
    pub checkpoint_seconds: f64,
    /// The entropy model that learns beside the network.
    pub prior: PriorConfig,
    /// Changes made to each crop.
    pub augmentation: Augmentation,
    /// Scale of the features, a property of the model.
    pub features: FeatureConfig,
    /// Sizes of the network.
    pub network: NetworkConfig,
}

/// A source of audio.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSource {
    /// Folder of a data set.
    pub path: PathBuf,
    /// Share of the crops that it gives, relative to the other sources.
    #[serde(default = "one")]
    pub weight: f64,
}

fn one() -> f64 {
    1.0
}

/// The entropy model of the events, and when it takes part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct PriorConfig {
    /// Share of the run at which the prior starts to learn.
    pub start: f64,
    /// Shares of the run between which the pressure moves from the firing rate to the information under the prior.
    pub information_ramp: (f64, f64),
    /// Share of the pressure, 0 to 1, that goes by the information at last.
    pub information_share: f64,
}

impl Default for PriorConfig {
    fn default() -> Self {
        Self { start: 0.06, information_ramp: (0.12, 0.17), information_share: 0.8 }
    }
}

/// Scale of the features: see [`FeatureScale`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FeatureConfig {
    /// Floor under the magnitudes of a band of one bin.
    pub floor: f64,
    /// Whether wider bands have a lower floor, so that it is one of power.
    pub of_power: bool,
    /// Gate on decoded magnitudes, 0 for none.
    pub gate: f64,
}

impl Default for FeatureConfig {
    fn default() -> Self {
        Self { floor: 0.15, of_power: true, gate: 0.0 } // those of the built-in model
    }
}

impl FeatureConfig {
    /// The scale with a floor for each band.
    ///
    /// # Errors
    /// If a value is impossible; the message names it.
    pub fn scale(&self) -> Result<FeatureScale> {
        let floor = self.floor as f32;
        let scale =
            if self.of_power { FeatureScale::of_power(floor) } else { FeatureScale::new(vec![floor; BANDS], 0.0) };
        let scale = scale.and_then(|scale| FeatureScale::new(scale.floor().to_vec(), self.gate as f32));
        scale.context("features")
    }
}

/// Random changes made to each crop. Levels are relative to full scale, in a clip at the loudness that the codec works at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Augmentation {
    /// Largest change of level in dB, either way.
    pub gain_db: f64,
    /// Standard deviation in dB of each of three cosines over the bands that make a random smooth equaliser.
    pub equaliser_db: f64,
    /// Share of crops that a second recording is mixed into.
    pub mixture_share: f64,
    /// Level of the second recording relative to the first, from and to, in dB.
    pub mixture_db: (f64, f64),
    /// Share of crops that noise is added to.
    pub noise_share: f64,
    /// Level of that noise, from and to, in dB relative to full scale.
    pub noise_db: (f64, f64),
    /// Largest exponent with which the amplitude of the noise falls with frequency: from 0 (white) to this.
    pub noise_colour: f64,
    /// Share of recordings whose pitch is changed.
    pub resample_share: f64,
    /// Largest change of pitch in cents, either way, by resampling.
    pub resample_cents: f64,
    /// Share of crops that are heard in another room.
    pub room_share: f64,
    /// Reverberation time of that room, from and to, in seconds.
    pub room_seconds: (f64, f64),
    /// Energy of its reverberation, from and to, in dB relative to the direct sound.
    pub room_db: (f64, f64),
}

impl Default for Augmentation {
    fn default() -> Self {
        Self {
            gain_db: 5.0,
            equaliser_db: 2.5,
            mixture_share: 0.125,
            mixture_db: (-15.0, 0.0),
            noise_share: 0.33,
            noise_db: (-80.0, -45.0),
            noise_colour: 1.0,
            resample_share: 0.5,
            resample_cents: 80.0,
            room_share: 0.25,
            room_seconds: (0.2, 0.8),
            room_db: (-20.0, -4.0),
        }
    }
}

impl Augmentation {
    /// No change at all.
    pub fn none() -> Self {
        Self {
            gain_db: 0.0,
            equaliser_db: 0.0,
            mixture_share: 0.0,
            noise_share: 0.0,
            resample_share: 0.0,
            room_share: 0.0,
            ..Self::default()
        }
    }

    fn validate(&self) -> Result<()> {
        let within = |name: &str, value: f64, least: f64, most: f64| {
            ensure!((least..=most).contains(&value), "augmentation.{name} must be from {least} to {most}, not {value}");
            Ok(())
        };
        let range = |name: &str, (from, to): (f64, f64), least: f64, most: f64| {
            ensure!(from <= to, "augmentation.{name} must rise, not {:?}", (from, to));
            within(name, from, least, most)?;
            within(name, to, least, most)
        };
        within("gain_db", self.gain_db, 0.0, 100.0)?;
        within("equaliser_db", self.equaliser_db, 0.0, 100.0)?;
        within("mixture_share", self.mixture_share, 0.0, 1.0)?;
        range("mixture_db", self.mixture_db, -100.0, 20.0)?;
        within("noise_share", self.noise_share, 0.0, 1.0)?;
        range("noise_db", self.noise_db, -100.0, 0.0)?;
        within("noise_colour", self.noise_colour, 0.0, 2.0)?;
        within("resample_share", self.resample_share, 0.0, 1.0)?;
        within("resample_cents", self.resample_cents, 0.0, 1200.0)?;
        within("room_share", self.room_share, 0.0, 1.0)?;
        range("room_seconds", self.room_seconds, 0.01, 10.0)?;
        range("room_db", self.room_db, -100.0, 20.0)
    }
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            seed: 0,
            steps: 14_400,
            batch: 128,
            frames: 192,
            shards: 8,
            learning_rate: 2e-3,
            warm_up: 200,
            cool_down: 0.55,
            weight_decay: 0.01,
            gradient_norm: 1.0,
            averaging: 0.999,
            pressure: (0.08, 14.0),
            pressure_ramp: (0.01, 0.1),
            rate_control: true,
            target_kbps: (0.7, 12.0),
            bottleneck: BottleneckConfig::default(),
            validation_interval: 200,
            checkpoint_seconds: 180.0,
            prior: PriorConfig::default(),
            augmentation: Augmentation::default(),
            features: FeatureConfig::default(),
            network: NetworkConfig { width: 320, hidden: 768, ..NetworkConfig::default() },
        }
    }
}

impl TrainingConfig {
    /// The rates that the pressure follows, if it does.
    pub(crate) fn target(&self) -> Option<(f64, f64)> {
        Some(self.target_kbps).filter(|_| self.rate_control && self.bottleneck == BottleneckConfig::Events)
    }

    /// Samples of all crops of a step.
    pub fn samples_per_step(&self) -> usize {
        self.batch * self.frames * spiccato::signal::HOP
    }

    /// Reads a configuration in TOML.
    ///
    /// # Errors
    /// If it is no TOML, has an unknown key or an impossible value; the message names it.
    pub fn from_toml(text: &str) -> Result<Self> {
        Self::from_toml_with(text, &[])
    }

    /// Reads a configuration in TOML and then sets values by `key=value`, where a dot in the key enters a table and the
    /// value is TOML too.
    ///
    /// # Errors
    /// As [`TrainingConfig::from_toml`].
    pub fn from_toml_with(text: &str, settings: &[String]) -> Result<Self> {
        let mut table = toml::Table::try_from(Self::default())?;
        merge(&mut table, text.parse()?);
        for setting in settings {
            let (key, value) = setting.split_once('=').with_context(|| format!("{setting}: expected KEY=VALUE"))?;
            let line: toml::Table = format!("{key}={value}").parse().with_context(|| setting.clone())?;
            merge(&mut table, line);
        }
        let config: Self = table.try_into()?;
        config.validate()?;
        Ok(config)
    }

    /// Checks that the values make sense together.
    ///
    /// # Errors
    /// Naming the first that does not.
    pub fn validate(&self) -> Result<()> {
        let share = |v: f64| (0.0..=1.0).contains(&v);
        ensure!(self.steps > 0, "steps must be at least 1");
        ensure!(self.batch > 0 && self.shards > 0, "batch and shards must be at least 1");
        ensure!(
            self.batch.is_multiple_of(self.shards),
            "batch ({}) must be a multiple of shards ({})",
            self.batch,
            self.shards
        );
        ensure!(self.frames >= 8, "frames must be at least 8, not {}", self.frames);
        ensure!(self.learning_rate > 0.0, "learning_rate must be above 0, not {}", self.learning_rate);
        ensure!(share(self.cool_down), "cool_down must be between 0 and 1, not {}", self.cool_down);
        ensure!(share(self.averaging), "averaging must be between 0 and 1, not {}", self.averaging);
        ensure!(self.gradient_norm > 0.0, "gradient_norm must be above 0, not {}", self.gradient_norm);
        let (high_quality, low_quality) = self.pressure;
        ensure!(
            0.0 < high_quality && high_quality <= low_quality,
            "pressure must be two values above 0, the first (quality 1) no larger than the second, not {:?}",
            self.pressure
        );
        let (start, full) = self.pressure_ramp;
        ensure!(
            share(start) && share(full) && start <= full,
            "pressure_ramp must rise within 0 to 1, not {:?}",
            (start, full)
        );
        let PriorConfig { start: learns, information_ramp: (from, to), information_share } = self.prior;
        ensure!(
            share(learns) && learns <= from && from <= to && to <= 1.0 && share(information_share),
            "prior must start before the information counts, with shares from 0 to 1, not {:?}",
            self.prior
        );
        let (low, high) = self.target_kbps;
        ensure!(
            0.0 < low && low <= high && high <= 1e3,
            "target_kbps must be two bitrates from above 0 to 1000, rising, not {:?}",
            (low, high)
        );
        for DataSource { path, weight } in &self.sources {
            ensure!(
                weight.is_finite() && *weight > 0.0,
                "sources: the weight of {} must be above 0, not {weight}",
                path.display()
            );
        }
        self.bottleneck.check()?;
        ensure!(self.validation_interval > 0, "validation_interval must be at least 1");
        let seconds = self.checkpoint_seconds;
        ensure!((0.0..=1e9).contains(&seconds), "checkpoint_seconds must be from 0 to 1e9, not {seconds}");
        self.augmentation.validate()?;
        self.features.scale()?;
        self.network.check()?;
        ensure!(
            self.network.bands == spiccato::signal::BANDS,
            "network.bands must be {}, not {}",
            spiccato::signal::BANDS,
            self.network.bands
        );
        Ok(())
    }
}

/// Overwrites the values in `table` by those in `other`, entering tables.
fn merge(table: &mut toml::Table, other: toml::Table) {
    for (key, value) in other {
        match (table.get_mut(&key), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(value)) => merge(inner, value),
            (_, value) => {
                table.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_survive_toml() {
        let config = TrainingConfig::default();
        config.validate().unwrap();
        assert_eq!(TrainingConfig::from_toml(&toml::to_string(&config).unwrap()).unwrap(), config);
        assert_eq!(TrainingConfig::from_toml("").unwrap(), config);
    }

    #[test]
    fn the_reference_lists_every_setting_with_its_default() {
        let reference: toml::Table = include_str!("../../docs/training.toml").parse().unwrap();
        assert_eq!(reference, toml::Table::try_from(TrainingConfig::default()).unwrap());
    }

    #[test]
    fn the_configurations_in_the_documentation_are_valid() {
        for text in [
            include_str!("../../docs/training-small.toml"),
            include_str!("../../docs/baselines/dense.toml"),
            include_str!("../../docs/baselines/events.toml"),
            include_str!("../../docs/baselines/residual.toml"),
            include_str!("../../docs/baselines/scalar.toml"),
            include_str!("../../docs/baselines/vector.toml"),
        ] {
            TrainingConfig::from_toml(text).unwrap();
        }
    }

    #[test]
    fn single_values_override_the_text() {
        let text = "steps = 10\n[augmentation]\ngain_db = 1.0\nequaliser_db = 0.5";
        let settings = ["augmentation.gain_db=6.5".to_owned(), "batch = 8".to_owned()];
        let config = TrainingConfig::from_toml_with(text, &settings).unwrap();
        assert_eq!((config.steps, config.batch), (10, 8));
        assert_eq!((config.augmentation.gain_db, config.augmentation.equaliser_db), (6.5, 0.5));
        assert!(TrainingConfig::from_toml_with("", &["steps".to_owned()]).is_err());
        assert!(TrainingConfig::from_toml_with("", &["nonsense=1".to_owned()]).is_err());
    }

    #[test]
    fn sources_have_weights() {
        let text = "sources = [{ path = \"a\" }, { path = \"b\", weight = 2.0 }]";
        let config = TrainingConfig::from_toml(text).unwrap();
        assert_eq!(config.sources[0], DataSource { path: "a".into(), weight: 1.0 });
        assert_eq!(config.sources[1].weight, 2.0);
        assert_eq!(TrainingConfig::from_toml(&toml::to_string(&config).unwrap()).unwrap(), config);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, named) in [
            ("stepz = 3", "stepz"),
            ("steps = 0", "steps"),
            ("batch = 25", "25"),
            ("[network]\ntaps = 4", "taps"),
            ("pressure = [3.0, 1.0]", "pressure"),
            ("learning_rate = -1.0", "-1"),
            ("[network]\nwidth = 0", "width"),
            ("checkpoint_seconds = -1.0", "checkpoint_seconds"),
            ("target_kbps = [3.0, 1.0]", "target_kbps"),
            ("sources = [{ path = \"piano\", weight = 0.0 }]", "piano"),
            ("sources = [{ weight = 1.0 }]", "path"),
            ("[augmentation]\nmixture_db = [1.0, -1.0]", "mixture_db"),
            ("[augmentation]\nnoise_colour = 3.0", "noise_colour"),
            ("bottleneck = { vector = { entries = 100 } }", "100"),
            ("bottleneck = \"none\"", "none"),
            ("[augmentation]\nnoise_db = [-20.0, -30.0]", "noise_db"),
            ("[augmentation]\nnoise_db = [-20.0, 3.0]", "noise_db"),
            ("[augmentation]\ngain_db = nan", "gain_db"),
            ("[augmentation]\nresample_cents = -5.0", "resample_cents"),
            ("[augmentation]\nroom_share = 1.5", "room_share"),
            ("[augmentation]\nroom_seconds = [0.0, 1.0]", "room_seconds"),
            ("[augmentation]\nroom_db = [nan, 0.0]", "room_db"),
        ] {
            let message = TrainingConfig::from_toml(text).unwrap_err().to_string();
            assert!(message.contains(named), "{text}: {message}");
        }
    }
}
