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
    pub(crate) host: Option<String>,
    pub(crate) calls: Option<u64>,
    pub(crate) time: u64,
    pub(crate) hop: u32,
    pub(crate) recent: Vec<u64>,
}

pub(crate) fn admits(scope: &Scope, wish: &Wish) -> bool {
    let path: Vec<&str> = wish.path.iter().map(String::as_str).collect();
    let file: Option<Vec<&str>> = wish.file.as_ref().map(|file| file.iter().map(String::as_str).collect());
    let labels: Option<Vec<&str>> = wish.host.as_ref().map(|host| host.rsplit('.').collect());
    let mut args = Vec::new();
    args.extend(wish.calls.map(|calls| ("calls", Arg::Int(calls))));
    args.extend(labels.as_deref().map(|labels| ("host", Arg::Host(labels))));
    args.extend(wish.number.map(|number| ("amount", Arg::Int(number))));
    args.extend(wish.word.as_deref().map(|word| ("region", Arg::Text(word))));
    args.extend(file.as_deref().map(|file| ("path", Arg::Path(file))));
    let kind = if wish.tool { "tool" } else { "other" };
    let (time, hop, recent) = (wish.time, wish.hop, wish.recent.as_slice());
    scope.admits(&Request { space: "mcp", kind, path: &path, args: &args, time, hop, recent })
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
    let number = |text: &str| text.parse::<u64>().unwrap();
    let words = |text: &str, word: &String| text.split('|').any(|known| known == word);
    let (name, operator, value) = split(constraint);
    match (name, operator) {
        ("amount", "<=") => wish.number.is_some_and(|amount| amount <= number(value)),
        ("amount", ">=") => wish.number.is_some_and(|amount| amount >= number(value)),
        ("calls", "<=") => wish.calls.is_some_and(|calls| calls <= number(value)),
        ("region", "!=") => wish.word.as_ref().is_some_and(|word| !words(value, word)),
        ("region", "=") => wish.word.as_ref().is_some_and(|word| words(value, word)),
        ("path", "~") => {
            let pattern: Vec<&str> = value.split('/').skip(1).collect();
            wish.file.as_ref().is_some_and(|file| fits(&pattern, file))
        }
        ("host", "~") => wish.host.as_ref().is_some_and(|host| host_fits(value, host)),
        ("nbf", ">=") => wish.time >= number(value),
        ("exp", "<") => wish.time < number(value),
        ("hops", "<=") => wish.hop <= u32::try_from(number(value)).unwrap(),
        ("rate", "<=") => {
            let (uses, window) = value.split_once('/').unwrap();
            let window = number(window.trim_end_matches('s'));
            let within = wish.recent.iter().filter(|used| **used + window > wish.time).count() as u64;
            within < number(uses)
        }
        _ => panic!("an unknown constraint: {constraint}"),
    }
}

fn split(constraint: &str) -> (&str, &str, &str) {
    let end = constraint.find(|c: char| !c.is_ascii_lowercase()).unwrap();
    let (name, rest) = constraint.split_at(end);
    let operator = ["<=", ">=", "!=", "=", "<", "~"].into_iter().find(|operator| rest.starts_with(operator));
    let operator = operator.expect("an operator");
    (name, operator, &rest[operator.len()..])
}

fn host_fits(pattern: &str, host: &str) -> bool {
    match (pattern.strip_prefix("**."), pattern.strip_prefix("*.")) {
        (Some(domain), _) => host == domain || host.ends_with(&format!(".{domain}")),
        (None, Some(domain)) => host.split_once('.').is_some_and(|(_, rest)| rest == domain),
        (None, None) => host == pattern,
    }
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
    let host = prop_oneof![
        4 => Just(""), 1 => Just("host~a.com"), 1 => Just("host~*.a.com"), 1 => Just("host~**.a.com"), 1 => Just("host~**.com")
    ];
    let calls =
        prop_oneof![4 => Just(String::new()), 1 => (0_u64..4).prop_map(|most| format!("calls<={most}"))];
    let exp = prop_oneof![4 => Just(String::new()), 1 => (10_u64..14).prop_map(|end| format!("exp<{end}"))];
    let nbf = prop_oneof![4 => Just(String::new()), 1 => (6_u64..10).prop_map(|from| format!("nbf>={from}"))];
    let hops =
        prop_oneof![4 => Just(String::new()), 1 => (0_u64..3).prop_map(|hops| format!("hops<={hops}"))];
    let rate = prop_oneof![
        5 => Just(""),
        1 => Just("rate<=1/3s"),
        1 => Just("rate<=2/3s"),
        1 => Just("rate<=2/5s"),
        1 => Just("rate<=1/1s;rate<=3/4s")
    ];
    (amount, calls, exp, hops, host, nbf, file, (rate, region)).prop_map(
        |(amount, calls, exp, hops, host, nbf, file, (rate, region))| {
            let (host, rate, region) = (host.to_owned(), rate.to_owned(), region.to_owned());
            let all = [amount, calls, exp, hops, host, nbf, file, rate, region];
            let all: Vec<String> = all.into_iter().filter(|text| !text.is_empty()).collect();
            if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(";")) }
        },
    )
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
    let host = prop_oneof![Just("a.com"), Just("b.a.com"), Just("c.b.a.com"), Just("com"), Just("b.com")];
    let circumstances = (5_u64..15, 0_u32..4, prop::collection::vec(5_u64..15, 0..4));
    (
        prop::bool::weighted(0.9),
        path.clone(),
        prop::option::of(0_u64..9),
        prop::option::of(word),
        prop::option::of(path),
        prop::option::of(host.prop_map(ToOwned::to_owned)),
        prop::option::of(0_u64..5),
        circumstances,
    )
        .prop_map(|(tool, path, number, word, file, host, calls, (time, hop, recent))| Wish {
            tool,
            path,
            number,
            word,
            file,
            host,
            calls,
            time,
            hop,
            recent,
        })
}

proptest! {
    #![proptest_config(super::cases())]

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

    #[test]
    fn what_is_passed_on_admits_what_was_admitted_one_hop_further(a in scope(), wish in wish()) {
        let further = Wish { hop: wish.hop + 1, ..wish.clone() };
        prop_assert_eq!(admits(&a.passed_on(), &wish), oracle(&a.texts(), &further));
        prop_assert!(a.passed_on().le(&a));
    }
}
