//! Who plays in the demonstration, and what each does with its task.

use super::agent::{Delegation, Part};

/// What the editor is asked.
pub(super) const REQUEST: &str = "A short story about the sea";

/// An agent of the demonstration.
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) caps: &'static [&'static str],
    pub(super) part: Part,
}

const fn to(agent: &'static str, order: &'static str) -> Delegation {
    Delegation { agent, order }
}

/// The editor has a researcher and a writer work in parallel; the researcher asks the archive; the writer tries to
/// have the publisher print it, which nobody allowed it.
pub(super) fn cast() -> [Member; 5] {
    const EDITOR: &[Delegation] =
        &[to("researcher", "Find facts about the sea"), to("writer", "Write about the sea")];
    const RESEARCHER: &[Delegation] = &[to("archive", "What is known of the sea?")];
    const WRITER: &[Delegation] = &[to("publisher", "Print this at once")];
    [
        Member {
            name: "editor",
            caps: &[
                "a2a:skill/archive/*",
                "a2a:skill/researcher/*",
                "a2a:skill/writer/*",
                "mcp:tool/search{calls<=20}",
            ],
            part: Part { result: "The Sea, a story", delegations: EDITOR },
        },
        Member {
            name: "researcher",
            caps: &["a2a:skill/archive/*", "mcp:tool/search{calls<=5}"],
            part: Part { result: "The sea is deep.", delegations: RESEARCHER },
        },
        Member { name: "archive", caps: &[], part: Part { result: "It is also wide.", delegations: &[] } },
        Member {
            name: "writer",
            caps: &["a2a:skill/publisher/*"],
            part: Part { result: "Once there was a sea.", delegations: WRITER },
        },
        Member { name: "publisher", caps: &[], part: Part { result: "Printed!", delegations: &[] } },
    ]
}
