//! Artifacts, and how streamed pieces become whole ones (spec §4.1.7, §4.2.2).

use crate::fields::wire_object;
use crate::{Metadata, Part};

wire_object! {
    /// A result of a task.
    pub struct Artifact {
        /// Unique within its task.
        artifact_id: String = "artifactId",
        /// A name for people.
        name: Option<String> = "name",
        /// What it is, for people.
        description: Option<String> = "description",
        /// The content.
        parts: Vec<Part> = "parts",
        /// Extensions' data.
        metadata: Metadata = "metadata",
        /// URIs of the extensions it uses.
        extensions: Vec<String> = "extensions",
    }
}

/// Merges a streamed piece into a task's artifacts: `append` adds its parts to the artifact of the same id, anything
/// else replaces that artifact. A piece to append to nothing begins the artifact.
pub fn merge_artifact(artifacts: &mut Vec<Artifact>, piece: &Artifact, append: bool) {
    match artifacts.iter_mut().find(|known| known.artifact_id == piece.artifact_id) {
        Some(known) if append => known.parts.extend(piece.parts.iter().cloned()),
        Some(known) => *known = piece.clone(),
        None => artifacts.push(piece.clone()),
    }
}
