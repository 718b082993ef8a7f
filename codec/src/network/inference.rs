//! The network in use: features of a piece of audio → events, and events chunk by chunk → features. What comes out does
//! not depend on how the frames are cut into pieces.

use std::ops::Range;

use candle_core::{Device, Tensor};

use super::{ActivityCost, Firing, Network, quality_features};
use crate::error::ModelError;
use crate::events::EventMatrix;
use crate::{Error, Result};

/// Events of the frames in `range` of `features` (frames × bands), at a quality, of neurons that fire as `firing` says. For the
/// events of a longer signal, `features` has to reach [`NetworkConfig::context`](super::NetworkConfig::context) frames beyond
/// `range` on either side where the signal does. Thresholds that activity raises begin at rest that many frames before
/// `range`.
///
/// # Errors
/// If the sizes don't fit the network.
pub fn encode_events(
    network: &Network,
    features: &[f32],
    range: Range<usize>,
    quality: f32,
    firing: Firing,
) -> Result<EventMatrix> {
    // Without cost, thresholds don't know the past.
    let costs = firing.cost != ActivityCost::default();
    let before = if costs { range.start.min(network.config().context()) } else { 0 };
    let potentials = membrane_potentials(network, features, range.start - before..range.end, quality)?;
    fired(network, &potentials, before, firing)
}

/// Membrane potentials (frames × neurons) of the frames in `range`; otherwise as [`encode_events`].
pub(crate) fn membrane_potentials(
    network: &Network,
    features: &[f32],
    range: Range<usize>,
    quality: f32,
) -> Result<Vec<f32>> {
    let config = network.config();
    let frames = features.len() / config.bands;
    let features = Tensor::from_slice(features, (1, frames, config.bands), &Device::Cpu)?;
    let quality = quality_features(&[quality], config.knots)?;
    let potential = network.encoder.forward_within(&features, &quality, range)?;
    Ok(potential.flatten_all()?.to_vec1::<f32>()?)
}

/// Events of membrane potentials, without those of the first frames, `before` in number.
pub(crate) fn fired(network: &Network, potentials: &[f32], before: usize, firing: Firing) -> Result<EventMatrix> {
    let config = network.config();
    let fired = &firing.events(potentials, config.neurons)[before * config.neurons..];
    let neurons = u16::try_from(config.neurons).map_err(|_| {
        Error::from(ModelError::Limit(format!("a network of {} neurons: at most 4096 can be stored", config.neurons)))
    })?;
    EventMatrix::from_dense(neurons, fired, |&z| z > 0.0)
}

/// Turns events into features as they come, with the bounded delay of the decoder's lookahead.
#[derive(Debug)]
pub struct EventDecoder {
    network: Network,
    quality: Tensor,
    /// The decoder's leaky traces after the last frame.
    traces: Option<Tensor>,
    /// Embeddings of the frames that are still needed: `done` minus context onwards.
    embeddings: Vec<f32>,
    /// First frame in `embeddings`.
    first: usize,
    /// Frames given out.
    done: usize,
}

impl EventDecoder {
    /// A decoder at the beginning of a signal that was encoded at this quality.
    ///
    /// # Errors
    /// If a tensor can't be made.
    pub fn new(network: Network, quality: f32) -> Result<Self> {
        let quality = quality_features(&[quality], network.config().knots)?;
        Ok(Self { network, quality, traces: None, embeddings: Vec::new(), first: 0, done: 0 })
    }

    /// Takes the next events and appends the frames of features (bands each) that are ready.
    ///
    /// # Errors
    /// If the number of neurons is not the network's.
    pub fn push(&mut self, events: &EventMatrix, features: &mut Vec<f32>) -> Result<()> {
        if events.frames() > 0 {
            let shape = (1, events.frames() as usize, usize::from(events.neurons()));
            let dense = Tensor::from_vec(events.to_dense(0.0f32, 1.0), shape, &Device::Cpu)?;
            let (embedding, traces) = self.network.decoder.embed(&dense, &self.quality, self.traces.as_ref())?;
            self.traces = Some(traces);
            self.embeddings.extend(embedding.flatten_all()?.to_vec1::<f32>()?);
        }
        let ready = self.end().saturating_sub(self.network.config().context());
        self.render(ready, features)
    }

    /// Appends the frames that were still waiting for later events.
    ///
    /// # Errors
    /// If the network fails.
    pub fn finish(mut self, features: &mut Vec<f32>) -> Result<()> {
        self.render(self.end(), features)
    }

    /// The frame after the last one that has an embedding.
    fn end(&self) -> usize {
        self.first + self.embeddings.len() / self.network.config().width
    }

    /// Renders frames up to `until`, then drops the embeddings that are no longer needed.
    fn render(&mut self, until: usize, features: &mut Vec<f32>) -> Result<()> {
        if until <= self.done {
            return Ok(());
        }
        let (width, context) = (self.network.config().width, self.network.config().context());
        let end = (until + context).min(self.end());
        let piece = &self.embeddings[..(end - self.first) * width];
        let piece = Tensor::from_slice(piece, (1, end - self.first, width), &Device::Cpu)?;
        let rendered = self.network.decoder.render_within(&piece, self.done - self.first..until - self.first)?;
        features.extend(rendered.flatten_all()?.to_vec1::<f32>()?);
        self.done = until;
        let keep = until.saturating_sub(context);
        if keep > self.first {
            self.embeddings.drain(..(keep - self.first) * width);
            self.first = keep;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::small;

    fn network() -> Network {
        small().network().unwrap()
    }

    #[test]
    fn events_do_not_depend_on_the_piece() {
        let network = network();
        let (bands, context) = (network.config().bands, network.config().context());
        let features: Vec<f32> = (0..60 * bands).map(|i| (i as f32 * 0.7).sin() * 20.0).collect();
        let excited = Firing { excitation: 1.0, ..Firing::default() };
        let whole = encode_events(&network, &features, 0..60, 0.3, excited).unwrap();
        assert!(whole.events() > 10);
        let piece = &features[(20 - context) * bands..(40 + context) * bands];
        let piece = encode_events(&network, piece, context..context + 20, 0.3, excited).unwrap();
        assert_eq!(piece, whole.slice(20..40));
    }

    #[test]
    fn features_do_not_depend_on_the_chunks() {
        let network = network();
        let cells: Vec<bool> = (0..90 * 5).map(|i| i * i % 7 == 1).collect();
        let events = EventMatrix::from_dense(5, &cells, |&c| c).unwrap();
        let decode = |chunk: u32| {
            let mut decoder = EventDecoder::new(network.clone(), 0.6).unwrap();
            let mut features = Vec::new();
            for part in events.chunks(chunk) {
                decoder.push(&part, &mut features).unwrap();
            }
            decoder.finish(&mut features).unwrap();
            features
        };
        let whole = decode(90);
        assert_eq!(whole.len(), 90 * network.config().bands);
        for chunk in [1, 2, 7, 40] {
            assert_eq!(decode(chunk), whole, "chunks of {chunk}");
        }
    }
}
