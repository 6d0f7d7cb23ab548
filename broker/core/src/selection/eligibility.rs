//! Whether an agent may be considered: what its card offers, and whether it can be sent anything now. Whether it may hold
//! what it requires is the rule of every delegation ([`crate::Tree::would_take`]), and not repeated here. Each refusal is a
//! reason for people.

use protocol::Timestamp;

/// What a task needs of its delegate.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'w> {
    /// The skill meant, if one was named.
    pub skill: Option<&'w str>,
    /// Media types the caller accepts; empty: any.
    pub accepted_output_modes: &'w [String],
    /// Media types of what is sent, texts aside.
    pub sent: &'w [String],
}

/// What is known of an agent.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'f> {
    /// The ids of its skills.
    pub skills: &'f [&'f str],
    /// Media types it takes; empty: not said.
    pub input_modes: &'f [String],
    /// Media types it answers with; empty: not said.
    pub output_modes: &'f [String],
    /// Not tried before this.
    pub down_until: Option<Timestamp>,
    /// As many wait for it as may.
    pub is_full: bool,
    /// An extension it insists on, and the caller does not use.
    pub missing_extension: Option<&'f str>,
}

/// Why an agent is not considered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ineligible {
    /// Its card is not known.
    #[error("its card is not known")]
    NoCard,
    /// It has no such skill.
    #[error("its card does not offer the skill {0}")]
    Skill(String),
    /// It answers with nothing that is accepted.
    #[error("it answers with {offered}, of which none is accepted ({accepted})")]
    OutputModes {
        /// What it answers with.
        offered: String,
        /// What is accepted.
        accepted: String,
    },
    /// It does not take what is sent.
    #[error("it does not take {0}")]
    InputMode(String),
    /// It insists on an extension.
    #[error("it insists on the extension {0}, which the caller does not use")]
    Extension(String),
    /// It does not answer.
    #[error("it has not answered lately and is not tried before {0}")]
    Down(Timestamp),
    /// Too many wait for it.
    #[error("too many tasks wait for it already")]
    Full,
}

/// Whether an agent may be considered.
pub fn judge(wanted: &Wanted<'_>, facts: &Facts<'_>) -> Result<(), Ineligible> {
    if let Some(skill) = wanted.skill
        && !facts.skills.contains(&skill)
    {
        return Err(Ineligible::Skill(skill.to_owned()));
    }
    if let Some(uri) = facts.missing_extension {
        return Err(Ineligible::Extension(uri.to_owned()));
    }
    if !accepts_any(wanted.accepted_output_modes, facts.output_modes) {
        let list = |modes: &[String]| modes.join(", ");
        let (offered, accepted) = (list(facts.output_modes), list(wanted.accepted_output_modes));
        return Err(Ineligible::OutputModes { offered, accepted });
    }
    let is_taken = |mode: &&String| accepts_any(std::slice::from_ref(*mode), facts.input_modes);
    if let Some(mode) = wanted.sent.iter().find(|mode| !is_taken(mode)) {
        return Err(Ineligible::InputMode(mode.clone()));
    }
    match facts.down_until {
        Some(until) => Err(Ineligible::Down(until)),
        None if facts.is_full => Err(Ineligible::Full),
        None => Ok(()),
    }
}

/// Whether two lists of media types have one in common; an empty one says nothing.
fn accepts_any(one: &[String], other: &[String]) -> bool {
    one.is_empty() || other.is_empty() || one.iter().any(|a| other.iter().any(|b| goes_with(a, b)))
}

/// `*/*`, `text/*` and, as many cards write it, `text` alone stand for all there are of a kind.
fn goes_with(one: &str, other: &str) -> bool {
    let split = |mode: &str| {
        let mode = mode.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match mode.split_once('/') {
            Some((kind, form)) => (kind.to_owned(), form.to_owned()),
            None => (mode, "*".to_owned()),
        }
    };
    let ((kind, form), (other_kind, other_form)) = (split(one), split(other));
    let is_any = |text: &str| text == "*" || text.is_empty();
    is_any(&kind)
        || is_any(&other_kind)
        || kind == other_kind && (is_any(&form) || is_any(&other_form) || form == other_form)
}

#[cfg(test)]
mod tests {
    use super::{Facts, Ineligible, Wanted, judge};

    const NOTHING: Facts<'_> = Facts {
        skills: &[],
        input_modes: &[],
        output_modes: &[],
        down_until: None,
        is_full: false,
        missing_extension: None,
    };
    const ANYTHING: Wanted<'_> = Wanted { skill: None, accepted_output_modes: &[], sent: &[] };

    fn modes(modes: &[&str]) -> Vec<String> {
        modes.iter().map(|mode| (*mode).to_owned()).collect()
    }

    #[test]
    fn each_refusal_has_its_reason() {
        assert_eq!(judge(&ANYTHING, &NOTHING), Ok(()));
        let wanted = Wanted { skill: Some("draw"), ..ANYTHING };
        assert_eq!(judge(&wanted, &NOTHING), Err(Ineligible::Skill("draw".to_owned())));
        assert_eq!(judge(&wanted, &Facts { skills: &["write", "draw"], ..NOTHING }), Ok(()));
        let needs = Facts { missing_extension: Some("urn:x"), ..NOTHING };
        assert_eq!(judge(&ANYTHING, &needs), Err(Ineligible::Extension("urn:x".to_owned())));
        assert_eq!(judge(&ANYTHING, &Facts { is_full: true, ..NOTHING }), Err(Ineligible::Full));
    }

    #[test]
    fn media_types_match_as_people_write_them() {
        let fits = |accepted: &[&str], offered: &[&str]| {
            let (accepted, offered) = (modes(accepted), modes(offered));
            let wanted = Wanted { accepted_output_modes: &accepted, ..ANYTHING };
            judge(&wanted, &Facts { output_modes: &offered, ..NOTHING }).is_ok()
        };
        assert!(
            fits(&["text/plain"], &["text"])
                && fits(&["*/*"], &["image/png"])
                && fits(&["text/*"], &["Text/HTML; charset=utf-8"])
        );
        assert!(fits(&[], &["image/png"]) && fits(&["image/png"], &[]));
        assert!(
            !fits(&["text/plain"], &["image/png", "text/html"]) && !fits(&["application/json"], &["text"])
        );
        let sent = modes(&["image/png"]);
        let wanted = Wanted { sent: &sent, ..ANYTHING };
        let takes = modes(&["text/plain"]);
        let refused = judge(&wanted, &Facts { input_modes: &takes, ..NOTHING });
        assert_eq!(refused, Err(Ineligible::InputMode("image/png".to_owned())));
    }
}
