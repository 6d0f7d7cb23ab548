//! More than the broker can do at a time: who is refused and how, who makes way, what agents that fail are spared, and
//! how the broker leaves while it has work.

mod agents;
mod call;
mod crowd;
mod making_way;
mod refusals;
mod shutdown;
