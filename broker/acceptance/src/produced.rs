//! What a delegate produced, as checks read it: its artifacts, part by part. Where it made none, its message is the
//! result; beside artifacts a message is talk.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use protocol::{Artifact, Message, Part};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// What writers of base64 leave out at the end is no error.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// What a delegate produced.
#[derive(Debug, Clone, Default)]
pub struct Produced {
    /// Its artifacts.
    pub artifacts: Vec<Artifact>,
    /// Its closing message, or the one message it answered with.
    pub message: Option<Message>,
}

impl Produced {
    /// Every part of it, artifacts first.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        let artifacts = self.artifacts.iter().flat_map(|artifact| &artifact.parts);
        artifacts.chain(self.message.iter().flat_map(|message| &message.parts))
    }
}

/// What of it is the result, taken apart: its artifacts; where there are none, its message.
pub(crate) struct View {
    pub(crate) pieces: Vec<Piece>,
}

/// An artifact, or the message.
pub(crate) struct Piece {
    /// Absent for the message.
    pub(crate) artifact_id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) parts: Vec<Content>,
}

/// A part.
pub(crate) struct Content {
    /// What it says it is, without parameters, in lower case; or what it is by its kind.
    pub(crate) media_type: Option<String>,
    /// Whether it says so itself.
    stated: bool,
    pub(crate) kind: Kind,
}

/// What a part holds.
pub(crate) enum Kind {
    Text(String),
    Bytes(Vec<u8>),
    Url(String),
    Data(Box<RawValue>),
}

/// JSON found in a piece: read, or why not.
pub(crate) enum Json {
    Read(Value),
    /// It says it is JSON and is not.
    Broken(String),
    /// It may be JSON, and is too deep to be read.
    TooDeep,
}

impl View {
    pub(crate) fn of(produced: &Produced) -> Self {
        let artifacts = produced.artifacts.iter().map(|artifact| Piece {
            artifact_id: Some(artifact.artifact_id.clone()),
            name: artifact.name.clone(),
            parts: artifact.parts.iter().map(Content::of).collect(),
        });
        let pieces: Vec<Piece> = artifacts.filter(|piece| !piece.parts.is_empty()).collect();
        if !pieces.is_empty() {
            return Self { pieces };
        }
        let message = produced.message.iter().map(|message| Piece {
            artifact_id: None,
            name: None,
            parts: message.parts.iter().map(Content::of).collect(),
        });
        Self { pieces: message.filter(|piece| !piece.parts.is_empty()).collect() }
    }

    pub(crate) fn contents(&self) -> impl Iterator<Item = &Content> {
        self.pieces.iter().flat_map(|piece| &piece.parts)
    }

    pub(crate) fn artifacts(&self) -> impl Iterator<Item = &Piece> {
        self.pieces.iter().filter(|piece| piece.artifact_id.is_some())
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.pieces.iter().map(Piece::bytes).fold(0, u64::saturating_add)
    }

    /// All its text, piece by piece.
    pub(crate) fn text(&self) -> String {
        let texts = self.pieces.iter().map(Piece::text).filter(|text| !text.is_empty());
        texts.collect::<Vec<_>>().join("\n")
    }

    /// The same without text that is JSON.
    pub(crate) fn prose(&self) -> String {
        let prose =
            self.pieces.iter().map(Piece::text).filter(|text| !text.is_empty() && as_json(text).is_none());
        prose.collect::<Vec<_>>().join("\n")
    }

    /// All its JSON, in order.
    pub(crate) fn json(&self) -> Vec<Json> {
        self.pieces.iter().flat_map(Piece::json).collect()
    }
}

impl Piece {
    pub(crate) fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.size() as u64).fold(0, u64::saturating_add)
    }

    /// Its text; pieces of a stream belong together without anything between them.
    pub(crate) fn text(&self) -> String {
        let texts = self.parts.iter().filter_map(|part| match &part.kind {
            Kind::Text(text) => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    /// Data, what says it is JSON, and text that is an object or a list and nothing else.
    pub(crate) fn json(&self) -> Vec<Json> {
        let stated: Vec<Json> = self.parts.iter().filter_map(Content::json).collect();
        if !stated.is_empty() {
            return stated;
        }
        as_json(&self.text()).map(Json::Read).into_iter().collect()
    }
}

impl Content {
    fn of(part: &Part) -> Self {
        #[derive(Deserialize)]
        struct Wire {
            text: Option<String>,
            raw: Option<String>,
            url: Option<String>,
            data: Option<Box<RawValue>>,
            #[serde(rename = "mediaType")]
            media_type: Option<String>,
        }
        let nothing = || Wire { text: None, raw: None, url: None, data: None, media_type: None };
        let wire = serde_json::from_str(part.raw().get()).unwrap_or_else(|_| nothing());
        let stated = wire.media_type.as_deref().map(essence).filter(|stated| !stated.is_empty());
        let (kind, usual) = match wire {
            Wire { text: Some(text), .. } => (Kind::Text(text), Some("text/plain")),
            Wire { raw: Some(raw), .. } => (bytes_or_text(decoded(&raw), stated.as_deref()), None),
            Wire { url: Some(url), .. } => (Kind::Url(url), None),
            // `data: null` is data, and so is what is absent because it says null.
            Wire { data, .. } => {
                (Kind::Data(data.unwrap_or_else(|| RawValue::NULL.to_owned())), Some("application/json"))
            }
        };
        Self { stated: stated.is_some(), media_type: stated.or_else(|| usual.map(ToOwned::to_owned)), kind }
    }

    fn size(&self) -> usize {
        match &self.kind {
            Kind::Text(text) | Kind::Url(text) => text.len(),
            Kind::Bytes(bytes) => bytes.len(),
            Kind::Data(data) => data.get().len(),
        }
    }

    fn json(&self) -> Option<Json> {
        let says_json = self.stated && self.media_type.as_deref().is_some_and(is_json);
        match &self.kind {
            Kind::Data(data) => Some(serde_json::from_str(data.get()).map_or(Json::TooDeep, Json::Read)),
            Kind::Text(text) if says_json => Some(read(text.as_bytes())),
            Kind::Bytes(bytes) if says_json => Some(read(bytes)),
            _ => None,
        }
    }
}

/// Text that is one object or list and nothing else.
fn as_json(text: &str) -> Option<Value> {
    let looks_like_it = text.trim_start().starts_with(['{', '[']);
    looks_like_it.then(|| serde_json::from_str(text.trim()).ok()).flatten()
}

fn read(json: &[u8]) -> Json {
    match serde_json::from_slice(json) {
        Ok(value) => Json::Read(value),
        Err(error) if error.to_string().starts_with("recursion limit") => Json::TooDeep,
        Err(error) => Json::Broken(error.to_string()),
    }
}

/// Bytes that say they are text are read as that.
fn bytes_or_text(bytes: Vec<u8>, stated: Option<&str>) -> Kind {
    if !stated.is_some_and(|stated| stated.starts_with("text/")) {
        return Kind::Bytes(bytes);
    }
    String::from_utf8(bytes).map_or_else(|no_text| Kind::Bytes(no_text.into_bytes()), Kind::Text)
}

/// A part's base64 was judged when it came in.
fn decoded(raw: &str) -> Vec<u8> {
    STANDARD.decode(raw).or_else(|_| URL_SAFE.decode(raw)).unwrap_or_default()
}

/// A media type without its parameters.
pub(crate) fn essence(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_json(media_type: &str) -> bool {
    media_type == "application/json" || media_type.ends_with("+json")
}

/// Whether a media type is one of those meant: itself, `text/*`, or `*/*`.
pub(crate) fn matches(media_type: &str, pattern: &str) -> bool {
    let pattern = essence(pattern);
    match pattern.strip_suffix('*') {
        Some("*/" | "") => true,
        Some(start) => media_type.starts_with(start),
        None => media_type == pattern,
    }
}
