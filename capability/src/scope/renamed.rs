//! A scope where agents go by other names, as they do at another broker. What an agent may be asked under its new name is
//! what it may be asked under the old one; agents without a new name have no place in it.

use super::{LimitExceeded, MAX_CAPABILITIES_AFTER_MEET, Scope, maximal};
use crate::capability::{Capability, Pattern, Segment};

impl Scope {
    /// The same with agents by other names, each beside the one it has here: a capability to invoke skills becomes one for each of `names` it reaches, and
    /// is left out where it reaches none. Other capabilities mean the same everywhere. Everything stays everything.
    ///
    /// # Errors
    /// It would hold more capabilities than a scope may.
    pub fn renamed(&self, names: &[(&str, &str)]) -> Result<Self, LimitExceeded> {
        if self.is_top() {
            return Ok(Self::top());
        }
        let all: Vec<Capability> = self.iter().flat_map(|capability| capability.renamed(names)).collect();
        let kept = if all.len() > MAX_CAPABILITIES_AFTER_MEET { all } else { maximal(all) };
        match kept.len() {
            0..=MAX_CAPABILITIES_AFTER_MEET => Ok(Self::of(kept)),
            found => Err(LimitExceeded::Capabilities { found }),
        }
    }
}

impl Capability {
    fn renamed(&self, names: &[(&str, &str)]) -> Vec<Self> {
        if self.family() != ("a2a", "skill") {
            return vec![self.clone()];
        }
        let Pattern { segments, rest } = self.resource();
        let reaches = |name: &str| match segments.first() {
            Some(segment) => segment.admits(name),
            None => *rest,
        };
        let there = names.iter().filter(|(here, _)| reaches(here)).map(|(_, there)| {
            let agent = std::iter::once(Segment::Literal((*there).to_owned()));
            let segments = agent.chain(segments.iter().skip(1).cloned()).collect();
            self.with_resource(Pattern { segments, rest: *rest })
        });
        there.collect()
    }
}
