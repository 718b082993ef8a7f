//! A model: encoder and decoder network, the prior of their events, and the identifier that files name it by.

use std::path::Path;
use std::sync::Arc;

use crate::entropy::Prior;
use crate::error::ModelError;
use crate::events::{Methods, RangeCoder};
use crate::network::{Network, Weights};
use crate::{Error, ModelId, Quality, Result};

/// The trained networks and probabilities that audio is coded with. Cheap to clone; any number of encoders and decoders, in any
/// threads, can use one model.
#[derive(Debug, Clone)]
pub struct Model {
    network: Arc<Network>,
    prior: Option<Arc<Prior>>,
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
        let (config, weights) = Weights::from_file(file)?;
        let prior = Prior::from_model_file(file)?;
        if let Some(prior) = prior.as_ref().filter(|prior| usize::from(prior.neurons()) != config.neurons) {
            let reason = format!("{} neurons, but a prior for {}", config.neurons, prior.neurons());
            return Err(ModelError::Malformed(reason).into());
        }
        Ok(Self {
            network: Arc::new(weights.network(&config)?),
            prior: prior.map(Arc::new),
            parameters: weights.count(),
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
    use crate::network::{save_model, small};

    #[test]
    fn damaged_and_foreign_files_are_refused() {
        let (config, weights) = small();
        assert!(matches!(Model::from_bytes(b"not a model"), Err(Error::Model(ModelError::Malformed(_)))));
        let file = save_model(&config, &weights, None).unwrap();
        assert!(Model::from_bytes(&file[..file.len() / 2]).is_err());
        let lacking = weights.iter().filter(|(name, _)| *name != "encoder.norm.gain");
        let lacking = lacking.map(|(name, tensor)| (name.to_owned(), tensor.clone())).collect();
        let message = Model::from_bytes(&save_model(&config, &lacking, None).unwrap()).unwrap_err().to_string();
        assert!(message.contains("encoder.norm.gain"), "{message}");
    }

    #[test]
    fn a_prior_is_saved_with_the_network() {
        let (config, weights) = small();
        let prior = Prior::new(test_prior::any(5, 3, 2, 1)).unwrap();
        let model = Model::from_bytes(&save_model(&config, &weights, Some(&prior)).unwrap()).unwrap();
        assert_eq!(model.prior(), Some(&prior));
        let methods = |model: &Model| model.complete(Methods::small(), Quality::LOWEST);
        assert!(methods(&model).get(RANGE_CODER_ID).is_ok());
        let without = Model::from_bytes(&save_model(&config, &weights, None).unwrap()).unwrap();
        assert!(without.prior().is_none() && methods(&without).get(RANGE_CODER_ID).is_err());
        let other = Prior::new(test_prior::any(6, 3, 2, 1)).unwrap();
        let message = Model::from_bytes(&save_model(&config, &weights, Some(&other)).unwrap()).unwrap_err();
        assert!(message.to_string().contains("5 neurons, but a prior for 6"), "{message}");
    }
}
