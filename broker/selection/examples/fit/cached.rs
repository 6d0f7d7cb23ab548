//! The quality tier with its vectors remembered in a file, since a fit asks for the same ones over and over.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use broker_selection::{EmbedError, Embedder};

/// An embedder that remembers.
pub(crate) struct Cached {
    #[cfg(feature = "minilm")]
    inner: broker_selection::MiniLm,
    file: PathBuf,
    known: Mutex<HashMap<String, Vec<f32>>>,
}

impl Cached {
    /// The model of this file, its vectors remembered beside it.
    pub(crate) fn open(model: &Path) -> Arc<Self> {
        #[cfg(feature = "minilm")]
        let inner = {
            let bytes = std::fs::read(model).expect("the model can be read");
            broker_selection::MiniLm::load(bytes).expect("the model")
        };
        let file = model.with_extension("vectors.json");
        let known = std::fs::read(&file)
            .map(|bytes| serde_json::from_slice(&bytes).expect("vectors"))
            .unwrap_or_default();
        Arc::new(Self {
            #[cfg(feature = "minilm")]
            inner,
            file,
            known: Mutex::new(known),
        })
    }

    #[cfg(feature = "minilm")]
    fn run(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        self.inner.embed(text)
    }

    /// Without the model, what is remembered must do.
    #[cfg(not(feature = "minilm"))]
    #[expect(clippy::unused_self, reason = "as the other")]
    fn run(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        let reason = format!("no vector is remembered of {text:?}; build with the feature minilm");
        Err(EmbedError::Model { model: "minilm".to_owned(), reason })
    }

    /// Writes what is remembered.
    pub(crate) fn save(&self) {
        let known = self.known.lock().expect("no other thread");
        std::fs::write(&self.file, serde_json::to_vec(&*known).expect("numbers"))
            .expect("vectors can be written");
    }
}

impl Embedder for Cached {
    fn tier(&self) -> &'static str {
        "minilm"
    }

    fn dimensions(&self) -> usize {
        384
    }

    fn embed(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        if let Some(vector) = self.known.lock().expect("no other thread").get(text) {
            return Ok(vector.clone());
        }
        let vector = self.run(text)?;
        let mut known = self.known.lock().expect("no other thread");
        known.insert(text.to_owned(), vector.clone());
        let count = known.len();
        drop(known);
        if count.is_multiple_of(5_000) {
            self.save();
        }
        Ok(vector)
    }
}
