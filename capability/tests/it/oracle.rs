//! The membership oracle: a naive reading of capability texts that shares no code with the lattice. It answers one
//! question, whether a request is admitted, from the canonical text alone.

use capability::{Arg, Request, Scope};
use proptest::prelude::*;

/// Owned requests, so that they can be generated.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) tool: bool,
    pub(crate) path: Vec<String>,
    pub(crate) number: Option<u64>,
    pub(crate) word: Option<String>,
    pub(crate) file: Option<Vec<String>>,
}

pub(crate) fn admits(scope: &Scope, wish: &Wish) -> bool {
    let path: Vec<&str> = wish.path.iter().map(String::as_str).collect();
    let file: Option<Vec<&str>> = wish.file.as_ref().map(|file| file.iter().map(String::as_str).collect());
    let mut args = Vec::new();
    args.extend(wish.number.map(|number| ("amount", Arg::Int(number))));
    args.extend(wish.word.as_deref().map(|word| ("region", Arg::Text(word))));
    args.extend(file.as_deref().map(|file| ("path", Arg::Path(file))));
    let kind = if wish.tool { "tool" } else { "other" };
    scope.admits(&Request { space: "mcp", kind, path: &path, args: &args })
}

/// The oracle.
pub(crate) fn oracle(texts: &[String], wish: &Wish) -> bool {
    texts.iter().any(|text| one(text, wish))
}

fn one(text: &str, wish: &Wish) -> bool {
    let (head, constraints) =
        text.split_once('{').map_or((text, ""), |(head, rest)| (head, rest.trim_end_matches('}')));
    let (kind, pattern) = head.split_once('/').unwrap();
    kind == if wish.tool { "mcp:tool" } else { "mcp:other" }
        && fits(&pattern.split('/').collect::<Vec<_>>(), &wish.path)
        && constraints
            .split(';')
            .filter(|constraint| !constraint.is_empty())
            .all(|constraint| holds(constraint, wish))
}

fn fits(pattern: &[&str], path: &[String]) -> bool {
    match (pattern, path) {
        (["**"], _) | ([], []) => true,
        ([first, pattern @ ..], [segment, path @ ..]) => {
            let fits_one =
                first.strip_suffix('*').map_or(segment == first, |prefix| segment.starts_with(prefix));
            fits_one && fits(pattern, path)
        }
        _ => false,
    }
}

fn holds(constraint: &str, wish: &Wish) -> bool {
    let words = |text: &str, word: &String| text.split('|').any(|known| known == word);
    if let Some(bound) = constraint.strip_prefix("amount<=") {
        return wish.number.is_some_and(|number| number <= bound.parse().unwrap());
    }
    if let Some(bound) = constraint.strip_prefix("amount>=") {
        return wish.number.is_some_and(|number| number >= bound.parse().unwrap());
    }
    if let Some(text) = constraint.strip_prefix("region!=") {
        return wish.word.as_ref().is_some_and(|word| !words(text, word));
    }
    if let Some(text) = constraint.strip_prefix("region=") {
        return wish.word.as_ref().is_some_and(|word| words(text, word));
    }
    let pattern = constraint.strip_prefix("path~/").expect("a known constraint");
    wish.file.as_ref().is_some_and(|file| fits(&pattern.split('/').collect::<Vec<_>>(), file))
}

fn pattern() -> impl Strategy<Value = String> {
    let segment = prop_oneof![Just("a"), Just("ab"), Just("b"), Just("a*"), Just("ab*"), Just("*")];
    (prop::collection::vec(segment, 1..4), any::<bool>())
        .prop_map(|(segments, rest)| format!("/{}{}", segments.join("/"), if rest { "/**" } else { "" }))
}

fn constraints() -> impl Strategy<Value = String> {
    let region = prop_oneof![
        Just(""),
        Just("region=eu"),
        Just("region=eu|uk"),
        Just("region!=eu"),
        Just("region!=eu|us")
    ];
    let file =
        prop_oneof![2 => Just(String::new()), 1 => pattern().prop_map(|pattern| format!("path~{pattern}"))];
    let amount = (0_u64..6, 0_u64..6, 0..4).prop_map(|(a, b, form)| match form {
        0 => String::new(),
        1 => format!("amount<={a}"),
        2 => format!("amount>={}", a + 1),
        _ => format!("amount>={};amount<={}", a.min(b) + 1, a.max(b) + 1),
    });
    (amount, file, region).prop_map(|(amount, file, region)| {
        let all: Vec<String> =
            [amount, file, region.to_owned()].into_iter().filter(|text| !text.is_empty()).collect();
        if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(";")) }
    })
}

pub(crate) fn scope() -> impl Strategy<Value = Scope> {
    let kind = prop_oneof![4 => Just("mcp:tool"), 1 => Just("mcp:other")];
    let text = (kind, pattern(), constraints()).prop_map(|(kind, path, rest)| format!("{kind}{path}{rest}"));
    prop::collection::vec(text, 0..5)
        .prop_map(|texts| Scope::parse(texts).expect("generated texts are canonical"))
}

pub(crate) fn wish() -> impl Strategy<Value = Wish> {
    let segment = prop_oneof![Just("a"), Just("ab"), Just("abc"), Just("b")].prop_map(ToOwned::to_owned);
    let path = prop::collection::vec(segment, 0..5);
    let word = prop_oneof![Just("eu"), Just("uk"), Just("us"), Just("jp")].prop_map(ToOwned::to_owned);
    (
        prop::bool::weighted(0.9),
        path.clone(),
        prop::option::of(0_u64..9),
        prop::option::of(word),
        prop::option::of(path),
    )
        .prop_map(|(tool, path, number, word, file)| Wish { tool, path, number, word, file })
}

proptest! {
    #[test]
    fn a_scope_admits_what_its_text_says(scope in scope(), wish in wish()) {
        prop_assert_eq!(admits(&scope, &wish), oracle(&scope.texts(), &wish));
    }

    #[test]
    fn a_meet_admits_what_both_admit_and_a_join_what_either_does(a in scope(), b in scope(), wish in wish()) {
        let (of_a, of_b) = (oracle(&a.texts(), &wish), oracle(&b.texts(), &wish));
        prop_assert_eq!(admits(&a.meet(&b).unwrap(), &wish), of_a && of_b);
        prop_assert_eq!(admits(&a.join(&b), &wish), of_a || of_b);
    }

    #[test]
    fn what_is_below_admits_no_more(a in scope(), b in scope(), wish in wish()) {
        if a.le(&b) && admits(&a, &wish) {
            prop_assert!(admits(&b, &wish), "{:?} is said to be below {:?}", a.texts(), b.texts());
        }
    }
}
