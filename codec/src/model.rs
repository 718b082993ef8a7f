//! A model: encoder and decoder network, the prior of their events, and the identifier that files name it by.

use std::path::Path;
use std::sync::Arc;

use crate::entropy::Prior;
use crate::error::ModelError;
use crate::events::{Methods, RangeCoder};
use crate::network::{Network, load_weights};
use crate::signal::FeatureScale;
use crate::{Error, ModelId, Quality, Result};

/// The trained networks and probabilities that audio is coded with. Cheap to clone; any number of encoders and decoders, in any
/// threads, can use one model.
#[derive(Debug, Clone)]
pub struct Model {
    network: Arc<Network>,
    prior: Option<Arc<Prior>>,
    feature_scale: FeatureScale,
    parameters: usize,
    id: ModelId,
}

impl Model {
    /// The model that ships with the codec, in the crate `spiccato-model` under a licence of its own (CC BY-NC-SA 4.0).
    ///
    /// # Errors
    /// Never, unless the file was damaged before the build.
    #[cfg(feature = "built-in-model")]
    pub fn built_in() -> Result<Self> {
        Self::from_bytes(spiccato_model::DEFAULT)
    }

    /// The model in a file.
    ///
    /// # Errors
    /// [`Error::Io`] if it can't be read, [`Error::Model`] if it is no model file, or one for another version of the network.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::from_bytes(&std::fs::read(path).map_err(Error::io(path))?)
    }

    /// The model in the content of its file.
    ///
    /// # Errors
    /// [`Error::Model`] if it is no model file, or one for another version of the network.
    pub fn from_bytes(file: &[u8]) -> Result<Self> {
        let weights = load_weights(file)?;
        let neurons = weights.config.neurons;
        let prior = Prior::from_model_file(file)?;
        if let Some(prior) = prior.as_ref().filter(|prior| usize::from(prior.neurons()) != neurons) {
            let reason = format!("{neurons} neurons, but a prior for {}", prior.neurons());
            return Err(ModelError::Malformed(reason).into());
        }
        Ok(Self {
            network: Arc::new(weights.network()?),
            prior: prior.map(Arc::new),
            parameters: weights.count(),
            feature_scale: weights.feature_scale,
            id: ModelId::of_weights(file),
        })
    }

    /// Identifier that the files made with this model carry.
    pub fn id(&self) -> ModelId {
        self.id
    }

    /// Encoder and decoder.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Probabilities of the events, if the model has them.
    pub fn prior(&self) -> Option<&Prior> {
        self.prior.as_deref()
    }

    /// The scale of the features that the network knows.
    pub fn feature_scale(&self) -> &FeatureScale {
        &self.feature_scale
    }

    /// Numbers in the weights of the network.
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// The set of storage methods with the one added that needs this model: the range coder, if the model has a prior.
    /// Its probabilities depend on the quality of the file.
    pub fn complete(&self, mut methods: Methods, quality: Quality) -> Methods {
        if let Some(prior) = &self.prior {
            methods.push(Box::new(RangeCoder::new(Arc::clone(prior), quality)));
        }
        methods
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::test_prior;
    use crate::events::RANGE_CODER_ID;
    use crate::network::{Precision, Weights, save_model, small};

    fn saved(weights: &Weights, prior: Option<&Prior>) -> Vec<u8> {
        save_model(weights, prior, Precision::Half).unwrap()
    }

    #[test]
    fn damaged_and_foreign_files_are_refused() {
        let mut weights = small();
        assert!(matches!(Model::from_bytes(b"not a model"), Err(Error::Model(ModelError::Malformed(_)))));
        let file = saved(&weights, None);
        assert!(Model::from_bytes(&file[..file.len() / 2]).is_err());
        weights.tensors.remove("encoder.norm.gain");
        let message = Model::from_bytes(&saved(&weights, None)).unwrap_err().to_string();
        assert!(message.contains("encoder.norm.gain"), "{message}");
    }

    #[test]
    fn a_prior_is_saved_with_the_network() {
        let weights = small();
        let prior = Prior::new(test_prior::any(5, 3, 2, 1)).unwrap();
        let model = Model::from_bytes(&saved(&weights, Some(&prior))).unwrap();
        assert_eq!((model.prior(), model.feature_scale()), (Some(&prior), &weights.feature_scale));
        let methods = |model: &Model| model.complete(Methods::small(), Quality::LOWEST);
        assert!(methods(&model).get(RANGE_CODER_ID).is_ok());
        let without = Model::from_bytes(&saved(&weights, None)).unwrap();
        assert!(without.prior().is_none() && methods(&without).get(RANGE_CODER_ID).is_err());
        let other = Prior::new(test_prior::any(6, 3, 2, 1)).unwrap();
        let message = Model::from_bytes(&saved(&weights, Some(&other))).unwrap_err();
        assert!(message.to_string().contains("5 neurons, but a prior for 6"), "{message}");
    }
}
