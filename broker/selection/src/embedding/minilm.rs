//! The quality tier: the sentence model all-MiniLM-L6-v2 as an int8 ONNX file, run in pure Rust on one thread. The file
//! is the operator's to provide; its vocabulary, which is that of all uncased BERT models, is here.

use std::sync::Arc;

use rten::{Model, NodeId, RunOptions, ThreadPool, Value};
use rten_tensor::prelude::*;
use rten_tensor::{NdTensor, Tensor};

use super::{EmbedError, Embedder, normalise};
use crate::text::Vocabulary;

/// Numbers in one of its vectors.
const DIMENSIONS: usize = 384;
/// Most word-pieces of a text the model reads, the two marks around it included; what it was trained with.
const MAX_PIECES: usize = 256;
/// Its word-pieces, in the order of its rows.
const VOCABULARY: &str = include_str!("../../data/vocabulary.txt");
/// What stands before a text, after it, and for words that cannot be spelled.
const MARKS: [&str; 3] = ["[CLS]", "[SEP]", "[UNK]"];
const NAME: &str = "all-MiniLM-L6-v2";

/// The model, ready to run.
pub struct MiniLm {
    model: Model,
    vocabulary: Vocabulary,
    /// Rows of the marks.
    marks: [i32; 3],
    /// The inputs in the order ids, mask, kinds; the last two may be missing.
    inputs: [Option<NodeId>; 3],
    output: NodeId,
    pool: Arc<ThreadPool>,
}

impl MiniLm {
    /// Loads the model from the bytes of its ONNX file.
    pub fn load(file: Vec<u8>) -> Result<Self, EmbedError> {
        let vocabulary = Vocabulary::parse(VOCABULARY);
        let model = Model::load(file).map_err(|error| failed(&error))?;
        let mut marks = [0; 3];
        for (place, mark) in marks.iter_mut().zip(MARKS) {
            let row = vocabulary.row(mark).and_then(|row| i32::try_from(row).ok());
            *place = row.ok_or_else(|| failed(&format!("the vocabulary has no {mark}")))?;
        }
        let inputs = ["input_ids", "attention_mask", "token_type_ids"].map(|name| model.find_node(name));
        if inputs.iter().take(1).any(Option::is_none) {
            return Err(failed(&"the file has no input named input_ids"));
        }
        let output = *model.output_ids().first().ok_or_else(|| failed(&"the file has no output"))?;
        let pool = Arc::new(ThreadPool::with_num_threads(1));
        Ok(Self { model, vocabulary, marks, inputs, output, pool })
    }

    fn ids(&self, text: &str) -> Vec<i32> {
        let [first, last, unknown] = self.marks;
        let pieces = self.vocabulary.pieces(text).into_iter().take(MAX_PIECES - 2);
        let known = pieces.map(|row| row.and_then(|row| i32::try_from(row).ok()).unwrap_or(unknown));
        std::iter::once(first).chain(known).chain(std::iter::once(last)).collect()
    }
}

impl Embedder for MiniLm {
    fn tier(&self) -> &'static str {
        "minilm"
    }

    fn dimensions(&self) -> usize {
        DIMENSIONS
    }

    fn embed(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        let ids = self.ids(text);
        let count = ids.len();
        let rows = [ids, vec![1; count], vec![0; count]];
        let inputs = self.inputs.iter().zip(rows).filter_map(|(node, row)| {
            Some(((*node)?, Value::from(NdTensor::<i32, 2>::from_data([1, count], row)).into()))
        });
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(&self.pool)));
        let outputs = self
            .model
            .run(inputs.collect(), &[self.output], Some(options))
            .map_err(|error| failed(&error))?;
        let output = outputs.into_iter().next().and_then(Value::into_tensor::<f32>);
        let output: Tensor<f32> = output.ok_or_else(|| failed(&"its output is no list of numbers"))?;
        // One vector a piece, or already their mean.
        let mut sum = vec![0.0; DIMENSIONS];
        let numbers = output.to_vec();
        if numbers.is_empty() || !numbers.len().is_multiple_of(DIMENSIONS) {
            let given = output.shape().last().copied().unwrap_or_default();
            return Err(EmbedError::Dimensions { model: NAME.to_owned(), given, expected: DIMENSIONS });
        }
        for vector in numbers.chunks_exact(DIMENSIONS) {
            for (sum, x) in sum.iter_mut().zip(vector) {
                *sum += x;
            }
        }
        normalise(&mut sum);
        Ok(sum)
    }
}

fn failed(reason: &dyn std::fmt::Display) -> EmbedError {
    EmbedError::Model { model: NAME.to_owned(), reason: reason.to_string() }
}
