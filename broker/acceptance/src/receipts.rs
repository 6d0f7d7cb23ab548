//! Receipts: what can be told by counting and hashing. Media types, sizes, the artifacts that have to be there.

use sha2::{Digest, Sha256};

use crate::criteria::{Acceptance, ArtifactWish};
use crate::produced::{Kind, Piece, View, matches};
use crate::verdict::{Check, Criterion};

/// Every receipt that is asked for.
pub(crate) fn check(accept: &Acceptance, view: &View) -> Vec<Check> {
    let mut checks = Vec::new();
    if !accept.output_modes.is_empty() {
        checks.push(output_modes(&accept.output_modes, view));
    }
    if let Some(most) = accept.max_bytes {
        checks.push(size(most, view));
    }
    checks.extend(accept.artifacts.iter().map(|wish| artifact(wish, view)));
    checks
}

fn output_modes(accepted: &[String], view: &View) -> Check {
    let check = Criterion::OutputModes;
    let is_accepted = |media_type: &str| accepted.iter().any(|pattern| matches(media_type, pattern));
    if view.contents().next().is_none() {
        return Check::failed(check, "the result is empty");
    }
    let mut unknown = false;
    for part in view.contents() {
        match part.media_type.as_deref() {
            Some(media_type) if !is_accepted(media_type) => {
                let reason = format!("a part is {media_type}; accepted: {}", accepted.join(", "));
                return Check::failed(check, &reason);
            }
            Some(_) => {}
            None => unknown = true,
        }
    }
    if unknown && !is_accepted("*/*") {
        return Check::unverified(check, "a part does not say of which media type it is");
    }
    Check::passed(check)
}

fn size(most: u64, view: &View) -> Check {
    let bytes = view.bytes();
    if bytes > most {
        let reason = format!("the result has {bytes} bytes; at most {most} are accepted (max_bytes)");
        return Check::failed(Criterion::Size, &reason);
    }
    Check::passed(Criterion::Size)
}

/// As many as are asked for, each as asked for: others of the same name do not count.
fn artifact(wish: &ArtifactWish, view: &View) -> Check {
    let check = Criterion::Artifact;
    let least = wish.min.unwrap_or(1);
    let (mut fitting, mut perhaps, mut undecided, mut unfit) = (0, 0, None, None);
    for piece in view.artifacts().filter(|piece| wish.means(piece)) {
        match fits(wish, piece) {
            Ok(None) => fitting += 1,
            Ok(Some(reason)) => (perhaps, undecided) = (perhaps + 1, Some(reason)),
            Err(reason) => unfit = Some(reason),
        }
    }
    match (undecided, unfit) {
        _ if fitting >= least => Check::passed(check),
        (Some(reason), _) if fitting + perhaps >= least => {
            Check::unverified(check, &format!("{}: {reason}", wish.words()))
        }
        (_, unfit) => {
            let why = unfit.map(|reason| format!("; of another: {reason}")).unwrap_or_default();
            let reason = format!("expected {least} of {}, found {fitting}{why}", wish.words());
            Check::failed(check, &reason)
        }
    }
}

/// `Err`: it does not fit; `Some`: that cannot be told.
fn fits(wish: &ArtifactWish, piece: &Piece) -> Result<Option<String>, String> {
    if let Some(most) = wish.max_bytes
        && piece.bytes() > most
    {
        return Err(format!("it has {} bytes; at most {most} are accepted", piece.bytes()));
    }
    let mut undecided = None;
    if let Some(pattern) = &wish.media_type {
        for part in &piece.parts {
            match part.media_type.as_deref() {
                Some(media_type) if !matches(media_type, pattern) => {
                    return Err(format!("a part is {media_type}; expected {pattern}"));
                }
                Some(_) => {}
                None => undecided = Some("a part does not say of which media type it is".to_owned()),
            }
        }
    }
    if let Some(expected) = &wish.sha256 {
        match digest(piece) {
            None => {
                undecided = Some("it is data or a link, of which there is no digest".to_owned());
            }
            Some(found) if found.eq_ignore_ascii_case(expected) => {}
            Some(found) => return Err(format!("its SHA-256 is {found}; expected {expected}")),
        }
    }
    Ok(undecided)
}

/// The digest of its texts and bytes, one after another. Data has many spellings, and a link names what is elsewhere.
fn digest(piece: &Piece) -> Option<String> {
    let mut hash = Sha256::new();
    for part in &piece.parts {
        match &part.kind {
            Kind::Text(text) => hash.update(text),
            Kind::Bytes(bytes) => hash.update(bytes),
            Kind::Url(_) | Kind::Data(_) => return None,
        }
    }
    Some(format!("{:x}", hash.finalize()))
}
