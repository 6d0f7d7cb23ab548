//! The states of a task (spec §4.1.3).

use crate::fields::wire_enum;

wire_enum! {
    /// A task's state. `TASK_STATE_UNSPECIFIED` is never valid on the wire and is refused.
    pub enum TaskState, "a task state" {
        /// Accepted, not begun.
        Submitted = "TASK_STATE_SUBMITTED",
        /// Being worked on.
        Working = "TASK_STATE_WORKING",
        /// Done.
        Completed = "TASK_STATE_COMPLETED",
        /// Failed.
        Failed = "TASK_STATE_FAILED",
        /// Canceled.
        Canceled = "TASK_STATE_CANCELED",
        /// Waits for input from the caller.
        InputRequired = "TASK_STATE_INPUT_REQUIRED",
        /// Refused by the agent.
        Rejected = "TASK_STATE_REJECTED",
        /// Waits for authorization.
        AuthRequired = "TASK_STATE_AUTH_REQUIRED",
    }
}

impl TaskState {
    /// COMPLETED, FAILED, CANCELED or REJECTED: nothing follows.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Canceled | Self::Rejected)
    }

    /// INPUT_REQUIRED or AUTH_REQUIRED: the caller is asked.
    pub fn is_interrupted(self) -> bool {
        matches!(self, Self::InputRequired | Self::AuthRequired)
    }
}

impl crate::fields::Member for Option<TaskState> {
    fn read(raw: Option<&serde_json::value::RawValue>) -> Result<Self, crate::Invalid> {
        raw.map(|raw| TaskState::read(Some(raw))).transpose()
    }

    fn is_unset(&self) -> bool {
        self.is_none()
    }
}
