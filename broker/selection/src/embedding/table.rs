//! The default embedder: a table with one vector a word-piece, distilled from a sentence model. A text's vector is the
//! sum of its pieces', which costs microseconds and needs no model to run.

use std::borrow::Cow;
use std::sync::OnceLock;

use thiserror::Error;

use super::{EmbedError, Embedder, normalise};
use crate::text::Vocabulary;

/// What a table file begins with.
const MAGIC: &[u8; 4] = b"BWT1";
/// Most dimensions a table may have.
const MAX_DIMENSIONS: usize = 4_096;
/// What the weights that go with it are called.
const TIER: &str = "static";

/// The table shipped; `distill/` says where it comes from.
static SHIPPED: &[u8] = include_bytes!("../../data/table.bin");

/// A table of vectors.
#[derive(Debug, Clone)]
pub struct Table {
    vocabulary: Vocabulary,
    scales: Vec<f32>,
    /// One signed byte a row and dimension; the shipped ones stay where the program has them.
    rows: Cow<'static, [u8]>,
    dimensions: usize,
}

/// A table file is not one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TableError {
    /// It begins with something else.
    #[error("not a table of vectors: expected it to begin with BWT1; make it with distill/distill.py")]
    Magic,
    /// Its head cannot be true.
    #[error("the table's head is wrong: {0}; make it anew with distill/distill.py")]
    Head(&'static str),
    /// It is too short or too long.
    #[error(
        "the table has {given} bytes where its head says {expected}; it was cut off or changed, get it again"
    )]
    Length {
        /// Bytes given.
        given: usize,
        /// Bytes its head says.
        expected: usize,
    },
    /// Its vocabulary has more or fewer pieces than rows, or is no text.
    #[error(
        "the table's vocabulary has {pieces} different word-pieces for {rows} rows; make it anew with distill/distill.py"
    )]
    Vocabulary {
        /// Pieces read.
        pieces: usize,
        /// Rows.
        rows: usize,
    },
}

impl Table {
    /// The table shipped with this package.
    pub fn shipped() -> Result<Self, TableError> {
        Self::read(SHIPPED, Cow::Borrowed)
    }

    /// Reads a table: `BWT1`, rows, dimensions and bytes of the vocabulary (u32, little endian), the vocabulary as
    /// lines, a float scale a row, and a signed byte a row and dimension.
    pub fn parse(file: &[u8]) -> Result<Self, TableError> {
        Self::read(file, |rows| Cow::Owned(rows.to_vec()))
    }

    fn read<'f>(
        file: &'f [u8],
        keep: impl FnOnce(&'f [u8]) -> Cow<'static, [u8]>,
    ) -> Result<Self, TableError> {
        let (Head { rows, dimensions, text }, rest) = Head::read(file)?;
        let expected = rows
            .checked_mul(dimensions + size_of::<f32>())
            .and_then(|body| body.checked_add(text))
            .ok_or(TableError::Head("rows times dimensions is past counting"))?;
        let wrong = TableError::Length { given: rest.len(), expected };
        if rest.len() != expected {
            return Err(wrong);
        }
        let (lines, rest) = rest.split_at_checked(text).ok_or_else(|| wrong.clone())?;
        let (scales, bytes) = rest.split_at_checked(rows * size_of::<f32>()).ok_or(wrong)?;
        let lines = str::from_utf8(lines).map_err(|_| TableError::Vocabulary { pieces: 0, rows })?;
        let vocabulary = Vocabulary::parse(lines);
        if vocabulary.len() != rows {
            return Err(TableError::Vocabulary { pieces: vocabulary.len(), rows });
        }
        let (scales, _) = scales.as_chunks::<4>();
        let scales: Vec<f32> = scales.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        if scales.iter().any(|scale| !scale.is_finite()) {
            return Err(TableError::Head("a scale is not a finite number"));
        }
        Ok(Self { vocabulary, scales, rows: keep(bytes), dimensions })
    }

    /// The word-pieces of the table; those of the sentence model it comes from, in that model's order.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }
}

impl Embedder for Table {
    fn tier(&self) -> &'static str {
        TIER
    }

    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn embed(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        let mut sum = vec![0_f32; self.dimensions];
        for row in self.vocabulary.pieces(text).into_iter().flatten() {
            let row = row as usize;
            let at = row * self.dimensions;
            let scale = self.scales.get(row).copied().unwrap_or_default();
            let bytes = self.rows.get(at..at + self.dimensions).unwrap_or_default();
            for (x, &byte) in sum.iter_mut().zip(bytes) {
                *x += scale * f32::from(byte.cast_signed());
            }
        }
        normalise(&mut sum);
        Ok(sum)
    }
}

/// The table shipped, read only when a text is to be understood: a broker whose callers name their agents never needs it.
#[derive(Debug)]
pub struct Shipped {
    dimensions: usize,
    table: OnceLock<Result<Table, TableError>>,
}

impl Shipped {
    /// Looks at its head alone.
    pub fn new() -> Result<Self, TableError> {
        let (Head { dimensions, .. }, _) = Head::read(SHIPPED)?;
        Ok(Self { dimensions, table: OnceLock::new() })
    }
}

impl Embedder for Shipped {
    fn tier(&self) -> &'static str {
        TIER
    }

    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn embed(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        match self.table.get_or_init(Table::shipped) {
            Ok(table) => table.embed(text),
            Err(damage) => Err(EmbedError::Model { model: TIER.to_owned(), reason: damage.to_string() }),
        }
    }
}

/// What a table file says of itself.
struct Head {
    rows: usize,
    dimensions: usize,
    /// Bytes of the vocabulary.
    text: usize,
}

impl Head {
    /// The head, and what follows it.
    fn read(file: &[u8]) -> Result<(Self, &[u8]), TableError> {
        let rest = file.strip_prefix(MAGIC).ok_or(TableError::Magic)?;
        let (rows, rest) = number(rest)?;
        let (dimensions, rest) = number(rest)?;
        let (text, rest) = number(rest)?;
        if rows == 0 || dimensions == 0 || dimensions > MAX_DIMENSIONS {
            return Err(TableError::Head("expected at least one row, and 1 to 4096 dimensions"));
        }
        Ok((Self { rows, dimensions, text }, rest))
    }
}

fn number(bytes: &[u8]) -> Result<(usize, &[u8]), TableError> {
    let (head, rest) = bytes.split_first_chunk::<4>().ok_or(TableError::Head("it ends within its head"))?;
    let number =
        usize::try_from(u32::from_le_bytes(*head)).map_err(|_| TableError::Head("a number is too large"))?;
    Ok((number, rest))
}
