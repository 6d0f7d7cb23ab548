//! Whatever bytes come in: no panic, bounded answers, and what is read is written the same. Four targets, each over a
//! committed corpus (`tests/corpus/<target>/`), random changes of it, and random bytes; a new failure becomes a file there.
//! On proptest rather than bolero: it is here already, shrinks what it finds, and runs on a stable compiler; a coverage-
//! guided engine would add some twenty packages, and can call the same functions when one is wanted.
//! `PROPTEST_CASES` sets how many changes are tried.

use std::path::Path;

use capability::{Capability, GrantKey, Scope, mint, verify};
use proptest::prelude::*;
use proptest::sample::Index;

use super::forge::{NOW, claims, expected, keys};

/// Changes tried per target in a default run.
const MIN_CASES: u32 = 4_096;
/// Longest input of a target, in bytes; whatever is longer is cut, so that work is bounded by it.
const MAX_INPUT: usize = 8_192;
/// Longest text of one capability, in bytes.
const MAX_TEXT: usize = 64 * 1024;

fn text(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    match text.parse::<Capability>() {
        Ok(capability) => {
            assert_eq!(capability.to_string(), text);
            assert!(text.is_ascii() && !text.contains([' ', '"', '\\']));
            assert!(capability.is_within(&capability) && capability.meet(&capability) == Some(capability));
        }
        Err(error) => {
            assert!(error.position <= text.len(), "{error}");
            assert!(error.to_string().len() <= 8 * text.len() + 256, "an error is not an amplifier");
        }
    }
}

fn scope(input: &[u8]) {
    let Ok(scope) = serde_json::from_slice::<Scope>(input) else { return };
    let stored = serde_json::to_string(&scope).unwrap();
    assert_eq!(serde_json::from_str::<Scope>(&stored).unwrap(), scope);
    assert_eq!(scope.is_top(), stored == "\"top\"", "everything is said, never arrived at");
    assert_eq!(
        Scope::parse(scope.texts()).is_ok_and(|read| read == scope),
        !scope.is_top() && scope.iter().count() <= 32
    );
}

fn details(input: &[u8]) {
    let Ok(value) = serde_json::from_slice(input) else { return };
    let Ok(scope) = Scope::from_json(&value) else { return };
    assert_eq!(Scope::from_json(&scope.to_json().unwrap()).as_ref(), Ok(&scope));
    assert_eq!(Scope::parse(scope.texts()), Ok(scope), "text and JSON say the same");
}

fn grant(input: &[u8]) {
    if let Ok(read) = verify(&String::from_utf8_lossy(input), &keys(&key()), &expected(NOW)) {
        assert_eq!(read, claims(), "only what was minted verifies, and says what was minted");
    }
}

fn key() -> GrantKey {
    GrantKey::from_seed([7; 32])
}

/// The committed inputs of a target, in the order of their names.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(target);
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 5, "the corpus of {target} is missing");
    paths.into_iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// As [`corpus`], and a grant that verifies. It is minted here, so that it follows the format.
fn grants() -> Vec<Vec<u8>> {
    let mut grants = corpus("grant");
    let known = grants.iter().map(|grant| with_known_key(grant)).collect::<Vec<_>>();
    grants.extend(known);
    grants.push(mint(&key(), &claims()).unwrap().into_bytes());
    grants
}

/// The same token, its header naming the key that is known here in place of `KID`.
fn with_known_key(token: &[u8]) -> Vec<u8> {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let text = String::from_utf8_lossy(token);
    let (header, rest) = text.split_once('.').unwrap_or((&text, ""));
    let header = URL_SAFE_NO_PAD.decode(header).unwrap_or_default();
    let header = String::from_utf8_lossy(&header).replace("KID", key().id());
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header)).into_bytes()
}

/// One change of an input.
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
    let piece = prop_oneof![
        prop::sample::select(
            [
                "/",
                "/**",
                "*",
                "**.",
                "%",
                "%2F",
                "%2E",
                "{",
                "}",
                ";",
                "|",
                "=",
                "!=",
                "<=",
                ">=",
                "~",
                ".",
                ":",
                "\n",
                "é",
                "usd<=0.01",
                "nbf>=1",
                "exp<1",
                "hops<=1",
                "rate<=1/1",
                "18446744073709551616",
                "\"",
                "\\u0000",
                "[",
                "]",
                "\"top\"",
                ",",
            ]
            .to_vec()
        )
        .prop_map(|piece| piece.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 1..5),
    ];
    let at = any::<Index>;
    let change = prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Overwrite(at, byte)),
        (at(), 1..9_usize).prop_map(|(at, length)| Change::Delete(at, length)),
        (at(), piece).prop_map(|(at, piece)| Change::Insert(at, piece)),
        (at(), 1..20_usize, 1..40_usize).prop_map(|(at, length, times)| Change::Repeat(at, length, times)),
        (at(), at(), at()).prop_map(|(at, other, from)| Change::Splice(at, other, from)),
    ];
    prop::collection::vec(change, 0..6)
}

fn changed(corpus: &[Vec<u8>], start: Index, changes: &[Change]) -> Vec<u8> {
    let mut input = start.get(corpus).clone();
    for change in changes {
        apply(&mut input, change, corpus);
        input.truncate(MAX_INPUT);
    }
    input
}

fn apply(input: &mut Vec<u8>, change: &Change, corpus: &[Vec<u8>]) {
    // One more place than there are bytes: the end.
    let place = |at: &Index, length: usize| at.index(length + 1);
    match change {
        Change::Overwrite(at, byte) => {
            let at = place(at, input.len());
            input.splice(at..(at + 1).min(input.len()), [*byte]);
        }
        Change::Delete(at, length) => {
            let at = place(at, input.len());
            input.drain(at..(at + length).min(input.len()));
        }
        Change::Insert(at, piece) => {
            let at = place(at, input.len());
            input.splice(at..at, piece.iter().copied());
        }
        Change::Repeat(at, length, times) => {
            let at = place(at, input.len());
            let piece = input[at..(at + length).min(input.len())].repeat(*times);
            input.splice(at..at, piece);
        }
        Change::Splice(at, other, from) => {
            let other = other.get(corpus);
            input.truncate(place(at, input.len()));
            input.extend_from_slice(&other[place(from, other.len())..]);
        }
    }
}

fn cases() -> ProptestConfig {
    let given = ProptestConfig::default();
    // A failure worth keeping goes into the corpus, by a name that says what it is.
    ProptestConfig { cases: given.cases.max(MIN_CASES), failure_persistence: None, ..given }
}

/// Every committed input as it is, then changes of them and bytes from nowhere.
fn fuzz(corpus: &[Vec<u8>], target: fn(&[u8])) {
    for input in corpus {
        target(input);
    }
    let input = prop_oneof![
        9 => (any::<Index>(), changes()).prop_map(|(start, changes)| changed(corpus, start, &changes)),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ];
    let mut runner = proptest::test_runner::TestRunner::new(cases());
    let result = runner.run(&input, |input| {
        target(&input);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn any_bytes_as_the_text_of_a_capability() {
    fuzz(&corpus("text"), text);
}

#[test]
fn any_bytes_as_a_stored_scope() {
    fuzz(&corpus("scope"), scope);
}

#[test]
fn any_bytes_as_authorization_details() {
    fuzz(&corpus("details"), details);
}

#[test]
fn any_bytes_as_a_grant() {
    fuzz(&grants(), grant);
}

#[test]
fn the_corpus_reaches_what_it_is_for() {
    let accepted = |input: &str| input.parse::<Capability>().is_ok();
    let texts = corpus("text");
    assert!(texts.iter().filter(|input| accepted(&String::from_utf8_lossy(input))).count() >= 10);
    let read =
        |input: &Vec<u8>| serde_json::from_slice(input).is_ok_and(|value| Scope::from_json(&value).is_ok());
    assert!(corpus("details").iter().filter(|input| read(input)).count() >= 4);
    let longest = format!("mcp:tool/{}", "a".repeat(MAX_TEXT - "mcp:tool/".len()));
    assert!(accepted(&longest) && !accepted(&format!("{longest}a")), "length is bounded");
    let minted = String::from_utf8(grants().pop().unwrap()).unwrap();
    assert_eq!(verify(&minted, &keys(&key()), &expected(NOW)), Ok(claims()));
}
