//! Committed inputs, random changes of them, and bytes from nowhere. Everything follows from one seed, which a failure
//! names: always the same one, so that who changes something else finds nothing here, and with `BAILIWICK_LONG=1` a new one
//! and many more cases. `FUZZ_SEED` and `PROPTEST_CASES` say otherwise. A failure worth keeping becomes a file of the corpus.

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Changes tried per target in a default run, and in a long one.
const CASES: u32 = 2_048;
const LONG_CASES: u32 = 200_000;
/// Longest input of a target, bytes; what is longer is cut, so that work is bounded by it.
pub(super) const MAX_INPUT: usize = 8_192;

/// What JSON, HTTP, events and protobuf are sensitive to.
const PIECES: [&[u8]; 44] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"null",
    b"true",
    b"1e999",
    b"-0",
    b"18446744073709551616",
    b"\"\"",
    b"{}",
    b"[]",
    b"\"x\":1,",
    b"\"kind\":\"task\",",
    b"\"id\":\"t\",",
    b"\"TASK_STATE_WORKING\"",
    b"\"completed\"",
    b"\"ROLE_USER\"",
    b"\"2026-01-02T03:04:05.678Z\"",
    b"\"metadata\":{},",
    b"\xef\xbb\xbf",
    b"\r",
    b"\n",
    b"\r\n\r\n",
    b"data: ",
    b"id: 1\n",
    b": ",
    b"%2F",
    b"%",
    b"/",
    b"?",
    b"&",
    b"=",
    b"+",
    b"\0",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x0a\x00",
    b"\x12\x02\x0a\x00",
];

/// The committed inputs of a target, in the order of their names.
pub(super) fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[derive(Debug, Clone)]
enum Change {
    Overwrite(Index, u8),
    Delete(Index, usize),
    Insert(Index, Vec<u8>),
    Repeat(Index, usize, usize),
    /// The end of another input, from somewhere in it.
    Splice(Index, Index, Index),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let at = any::<Index>;
    let piece = prop_oneof![
        3 => prop::sample::select(PIECES.to_vec()).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 1..5),
    ];
    let change = prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Overwrite(at, byte)),
        (at(), 1..9_usize).prop_map(|(at, length)| Change::Delete(at, length)),
        (at(), piece).prop_map(|(at, piece)| Change::Insert(at, piece)),
        (at(), 1..20_usize, 1..40_usize).prop_map(|(at, length, times)| Change::Repeat(at, length, times)),
        (at(), at(), at()).prop_map(|(at, other, from)| Change::Splice(at, other, from)),
    ];
    prop::collection::vec(change, 0..6)
}

fn apply(input: &mut Vec<u8>, change: &Change, corpus: &[Vec<u8>]) {
    // One more place than there are bytes: the end.
    let place = |at: &Index, length: usize| at.index(length + 1);
    let at = match change {
        Change::Overwrite(at, _) | Change::Delete(at, _) | Change::Insert(at, _) | Change::Repeat(at, ..) => {
            at
        }
        Change::Splice(at, ..) => at,
    };
    let at = place(at, input.len());
    match change {
        Change::Overwrite(_, byte) => drop(input.splice(at..(at + 1).min(input.len()), [*byte])),
        Change::Delete(_, length) => drop(input.drain(at..(at + length).min(input.len()))),
        Change::Insert(_, piece) => drop(input.splice(at..at, piece.iter().copied())),
        Change::Repeat(_, length, times) => {
            let piece = input[at..(at + length).min(input.len())].repeat(*times);
            input.splice(at..at, piece);
        }
        Change::Splice(_, other, from) => {
            let other = other.get(corpus);
            input.truncate(at);
            input.extend_from_slice(&other[place(from, other.len())..]);
        }
    }
    input.truncate(MAX_INPUT);
}

fn seed(is_long: bool) -> [u8; 32] {
    let given = std::env::var("FUZZ_SEED").ok().and_then(|text| text.parse::<u64>().ok());
    let now = || {
        std::time::UNIX_EPOCH
            .elapsed()
            .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or_default())
    };
    let number = given.unwrap_or_else(|| if is_long { now() } else { 0 });
    eprintln!("FUZZ_SEED={number}");
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    seed
}

/// Every input as it is, then changes of them and bytes from nowhere; `seed` of the run is printed with a failure.
pub(super) fn fuzz(corpus: &[Vec<u8>], target: impl Fn(&[u8])) {
    assert!(corpus.len() > 4, "the corpus is missing");
    for input in corpus {
        target(input);
    }
    let is_long = std::env::var_os("BAILIWICK_LONG").is_some();
    let cases = Config::default().cases.max(if is_long { LONG_CASES } else { CASES });
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed(is_long)));
    let input = prop_oneof![
        9 => (any::<Index>(), changes()).prop_map(|(start, changes)| {
            let mut input = start.get(corpus).clone();
            for change in &changes {
                apply(&mut input, change, corpus);
            }
            input
        }),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ];
    let result = runner.run(&input, |input| {
        target(&input);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}
