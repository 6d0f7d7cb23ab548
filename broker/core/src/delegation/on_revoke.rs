//! Revocation: one record on one task kills the grants of its whole subtree, since a grant is judged by walking up.

use super::draft::Draft;
use crate::TaskId;
use crate::audit::{Event, Revoked};
use crate::error::Refusal;
use crate::journal::Fact;

impl Draft<'_> {
    /// Revoking twice, or what is over, changes nothing and is no error (RFC 7009 §2.2).
    pub(super) fn on_revoke(&mut self, task: TaskId, by: String) -> Result<(), Refusal> {
        let node = self.node(task).ok_or(Refusal::NotFound)?;
        if node.is_granted() {
            self.audit(Event::Revoked(Revoked { by: by.clone(), root: self.tree.root(), task }));
            self.record(task, Fact::Revoked { by });
        }
        Ok(())
    }
}
