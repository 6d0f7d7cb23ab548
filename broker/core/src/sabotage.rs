//! Builds that are broken on purpose. With the feature `sabotage`, which no build that is used has, a test can take out
//! one guard of the invariants at a time and see whether anything notices. Without it every question here is answered
//! `false` at compile time.

/// A guard that can be taken out. Each stands at the one place that keeps the invariant of design §4 it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// 1: what a child gets is bounded by what its parent holds.
    Attenuation,
    /// 2: COMPLETED waits for open children.
    HeldParents,
    /// 3: what comes after the end is not shown.
    LastWords,
    /// 3: what a lost attempt says is not shown.
    LostAttempts,
    /// 4: a resumed stream begins with what was missed.
    MissedEvents,
    /// 5: what was not made durable is not true.
    DurableFirst,
    /// 5: a tree over whose append the store failed is taken up again.
    UncertainAppends,
    /// 5, 6: a broker that others may have taken for dead knows nothing and sends nothing.
    Leases,
    /// 6: an agent is asked before it is sent the same again.
    AskFirst,
    /// 6: a message id is kept with the task it made.
    MessageIds,
    /// 6: a further message that was never sent does not begin the task again.
    FurtherMessages,
    /// 7: depth, fan-out, live tasks.
    Bounds,
    /// 7: no agent below itself.
    Cycles,
    /// 7: no child lasts longer than its parent.
    Deadlines,
    /// 8: grants die with their task.
    DeadGrants,
    /// 9: a principal sees its own tasks.
    Owners,
    /// 10: a step is finished whether its caller is there or not.
    HangUps,
    /// 10: lost contact is not failure.
    LostContact,
    /// What failed its checks is not shown.
    Acceptance,
    /// 2: what was open is taken up after a restart.
    Restarts,
}

impl Guard {
    /// Every guard.
    pub const ALL: [Self; 19] = [
        Self::Attenuation,
        Self::HeldParents,
        Self::Restarts,
        Self::LastWords,
        Self::LostAttempts,
        Self::MissedEvents,
        Self::DurableFirst,
        Self::UncertainAppends,
        Self::Leases,
        Self::AskFirst,
        Self::MessageIds,
        Self::FurtherMessages,
        Self::Bounds,
        Self::Cycles,
        Self::Deadlines,
        Self::DeadGrants,
        Self::Owners,
        Self::HangUps,
        Self::LostContact,
    ];
}

#[cfg(not(feature = "sabotage"))]
mod switch {
    /// No guard is ever taken out.
    #[inline]
    pub const fn removed(_: super::Guard) -> bool {
        false
    }
}

#[cfg(feature = "sabotage")]
mod switch {
    use std::cell::Cell;

    use super::Guard;

    thread_local! {
        static REMOVED: Cell<Option<Guard>> = const { Cell::new(None) };
    }

    /// Whether a guard is taken out on this thread.
    pub fn removed(guard: Guard) -> bool {
        REMOVED.get() == Some(guard)
    }

    /// Takes out a guard on this thread, and puts back any other.
    pub fn remove(guard: Option<Guard>) {
        REMOVED.set(guard);
    }
}

pub use switch::*;
