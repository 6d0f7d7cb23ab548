//! Random histories: steps that name tasks by when they came to be, so that each player can put in its own ids.

use serde_json::{Value, json};

/// Which task a step is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which {
    /// The task of the number-th message that was accepted, modulo how many there are; an unknown one if none is.
    Known(usize),
    /// One that never was.
    Unknown,
    /// What is no id of the broker's.
    Nonsense,
}

/// One operation.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// A message of a script; a stream where `streams`. The id is one used before where `again` names a message.
    Send {
        script: Value,
        streams: bool,
        at_once: bool,
        history: Option<i64>,
        context: Option<usize>,
        again: Option<usize>,
    },
    /// A message on a task; of another context where `astray`.
    FollowUp {
        task: Which,
        astray: bool,
        streams: bool,
    },
    /// A message with something wrong in it.
    Malformed(usize),
    Get {
        task: Which,
        history: Option<i64>,
    },
    /// A list; `token` goes on from the last page, or from nowhere.
    List {
        filters: Value,
        token: Token,
    },
    Cancel(Which),
    Subscribe {
        task: Which,
        after: Option<u64>,
    },
    CreatePush {
        task: Which,
        id: Option<usize>,
        url: &'static str,
    },
    GetPush {
        task: Which,
        id: usize,
    },
    ListPush {
        task: Which,
        page: Option<i64>,
        token: Token,
    },
    DeletePush {
        task: Which,
        id: usize,
    },
    ExtendedCard,
    /// A task read in a version nobody speaks.
    OtherVersion(&'static str),
    /// A task read of an agent that is not there.
    OtherTenant(&'static str),
    /// A task read with a bad credential.
    Stranger,
}

/// Where a list goes on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Token {
    /// At the beginning.
    None,
    /// After the last page.
    Last,
    /// At a token that nobody gave.
    Forged(&'static str),
}

/// Kinds of malformed messages.
pub(super) const MALFORMED: usize = 9;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("small")
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    fn maybe<T>(&mut self, one_in: usize, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.one_in(one_in).then(|| value(self))
    }

    fn which(&mut self) -> Which {
        match self.below(10) {
            0 => Which::Unknown,
            1 => Which::Nonsense,
            _ => Which::Known(self.below(100)),
        }
    }

    fn token(&mut self) -> Token {
        match self.below(6) {
            0 => Token::Last,
            1 => Token::Forged(self.of(&["x", "AAAA", "%00", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "\u{e9}"])),
            _ => Token::None,
        }
    }
}

fn scripts() -> Vec<Value> {
    vec![
        json!({ "chunks": ["a", "b"] }),
        json!({ "chunks": ["a", "b"] }),
        json!({}),
        json!({ "end": "failed" }),
        json!({ "end": "rejected", "chunks": ["x"] }),
        json!({ "message": "hi" }),
        json!({ "ask": "colour?" }),
        json!({ "ask": "colour?" }),
        json!({ "ask_auth": "log in" }),
        json!({ "delay_ms": 600_000 }),
    ]
}

/// The history of a seed.
pub(super) fn random_history(seed: u64, steps: usize) -> Vec<Step> {
    let mut random = Random(seed);
    (0..steps).map(|number| step(&mut random, number)).collect()
}

fn step(random: &mut Random, number: usize) -> Step {
    // Something to work with first.
    match if number < 3 { 0 } else { random.below(24) } {
        0..=4 => send(random),
        5 | 6 => Step::FollowUp { task: random.which(), astray: random.one_in(6), streams: random.one_in(3) },
        7 => Step::Malformed(random.below(MALFORMED)),
        8..=10 => {
            let history = random.maybe(2, |random| random.of(&[0, 1, 2, 100, -1, 4_000_000_000]));
            Step::Get { task: random.which(), history }
        }
        11..=13 => list(random),
        14 => Step::Cancel(random.which()),
        15 | 16 => {
            let after = random.maybe(3, |random| random.of(&[0, 1, 3, 1_000_000, u64::MAX]));
            Step::Subscribe { task: random.which(), after }
        }
        17 => {
            let url = random.of(&[
                "http://127.0.0.1:9/x",
                "http://127.0.0.1:9/y",
                "ftp://127.0.0.1/",
                "nonsense",
                "",
            ]);
            Step::CreatePush { task: random.which(), id: random.maybe(2, |random| random.below(3)), url }
        }
        18 => Step::GetPush { task: random.which(), id: random.below(3) },
        19 => {
            let page = random.maybe(2, |random| random.of(&[1, 2, 100, 0, -1]));
            Step::ListPush { task: random.which(), page, token: random.token() }
        }
        20 => Step::DeletePush { task: random.which(), id: random.below(3) },
        21 => Step::ExtendedCard,
        22 => random.of(&[
            Step::OtherVersion("2.0"),
            Step::OtherVersion("0.3"),
            Step::OtherVersion(""),
            Step::Stranger,
        ]),
        _ => Step::OtherTenant(random.of(&["nobody", "worker-2"])),
    }
}

fn send(random: &mut Random) -> Step {
    let script = random.of(&scripts());
    let slow = script.get("delay_ms").is_some();
    Step::Send {
        // Whoever waits for that waits for ever.
        at_once: slow || random.one_in(8),
        streams: !slow && random.one_in(3),
        script,
        history: random.maybe(3, |random| random.of(&[0, 1, 5])),
        context: random.maybe(2, |random| random.below(3)),
        again: random.maybe(6, |random| random.below(100)),
    }
}

fn list(random: &mut Random) -> Step {
    let mut filters = json!({});
    let mut add = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            filters[name] = value;
        }
    };
    let states =
        ["TASK_STATE_COMPLETED", "TASK_STATE_WORKING", "TASK_STATE_INPUT_REQUIRED", "TASK_STATE_FAILED"];
    add("pageSize", random.maybe(2, |random| json!(random.of(&[1, 2, 3, 100, 101, 0, -1]))));
    add("status", random.maybe(3, |random| json!(random.of(&states))));
    add("contextId", random.maybe(4, |random| json!(format!("context-{}", random.below(4)))));
    add("historyLength", random.maybe(3, |random| json!(random.of(&[0, 1, 10]))));
    add("includeArtifacts", random.maybe(2, |random| json!(random.one_in(2))));
    let times = ["2000-01-01T00:00:00Z", "2999-01-01T00:00:00Z"];
    add("statusTimestampAfter", random.maybe(5, |random| json!(random.of(&times))));
    Step::List { filters, token: random.token() }
}
