//! Laws 4 and 5 without luck: every pair of capabilities over a small alphabet, against every request over it. Here the
//! order is also shown to be exact: where it says no, there is a request to prove it.

use capability::{Arg, Capability, Request};

/// Patterns over one and two segments, with every kind of segment and end.
const PATTERNS: [&str; 12] =
    ["/a", "/ab", "/a*", "/*", "/a/b", "/a/*", "/*/b", "/a*/b", "/**", "/a/**", "/a*/**", "/*/**"];
const PATHS: [&[&str]; 12] = [
    &[],
    &["a"],
    &["ab"],
    &["b"],
    &["a", "b"],
    &["a", "c"],
    &["ab", "b"],
    &["b", "b"],
    &["b", "c"],
    &["ab", "c"],
    &["a", "b", "c"],
    &["c", "b", "c"],
];

/// Each kind of constraint on a name of its own, with every relation between two of a kind.
const CONSTRAINTS: [&[&str]; 8] = [
    &["", "n<=0", "n<=1", "n>=1", "n>=1;n<=1", "n>=2"],
    &["", "w=x", "w=y", "w=x|y", "w!=x", "w!=x|y"],
    &["", "p~/a", "p~/**", "p~/a/**", "h~a.b", "h~*.b", "h~**.b"],
    &["", "exp<1", "exp<2"],
    &["", "nbf>=1", "nbf>=2"],
    &["", "hops<=0", "hops<=1", "hops<=2"],
    &["", "rate<=1/1s", "rate<=2/1s", "rate<=1/2s", "rate<=2/2s", "rate<=1/1s;rate<=2/2s"],
    &["", "calls<=0", "calls<=1", "usd<=0.000001"],
];

#[derive(Clone, Copy)]
struct Circumstances {
    args: &'static [(&'static str, Arg<'static>)],
    time: u64,
    hop: u32,
    recent: &'static [u64],
}

const HERE: Circumstances = Circumstances { args: &[], time: 2, hop: 0, recent: &[] };

fn request<'a>(path: &'a [&'a str], at: Circumstances) -> Request<'a> {
    let Circumstances { args, time, hop, recent } = at;
    Request { space: "s", kind: "k", path, args, time, hop, recent }
}

/// Whatever tells two constraints of a group apart.
fn circumstances(group: usize) -> Vec<Circumstances> {
    let args = |args: &'static [&'static [(&'static str, Arg<'static>)]]| {
        args.iter().map(|&args| Circumstances { args, ..HERE }).collect()
    };
    match group {
        0 => args(&[
            &[],
            &[("n", Arg::Int(0))],
            &[("n", Arg::Int(1))],
            &[("n", Arg::Int(2))],
            &[("n", Arg::Text("1"))],
        ]),
        1 => args(&[
            &[],
            &[("w", Arg::Text("x"))],
            &[("w", Arg::Text("y"))],
            &[("w", Arg::Text("z"))],
            &[("w", Arg::Int(1))],
        ]),
        2 => args(&[
            &[],
            &[("p", Arg::Path(&[]))],
            &[("p", Arg::Path(&["a"]))],
            &[("p", Arg::Path(&["a", "b"]))],
            &[("p", Arg::Path(&["b"]))],
            &[("h", Arg::Host(&["b"]))],
            &[("h", Arg::Host(&["b", "a"]))],
            &[("h", Arg::Host(&["b", "c"]))],
            &[("h", Arg::Host(&["b", "c", "d"]))],
        ]),
        3 | 4 => (0..4).map(|time| Circumstances { time, ..HERE }).collect(),
        5 => (0..4).map(|hop| Circumstances { hop, ..HERE }).collect(),
        6 => {
            let histories: [&'static [u64]; 7] = [&[], &[2], &[1], &[2, 2], &[1, 1], &[1, 2], &[0]];
            histories.into_iter().map(|recent| Circumstances { recent, ..HERE }).collect()
        }
        _ => args(&[
            &[],
            &[("calls", Arg::Int(0))],
            &[("calls", Arg::Int(1))],
            &[("calls", Arg::Int(2))],
            &[("usd", Arg::Int(1))],
            &[("usd", Arg::Int(2))],
        ]),
    }
}

/// Every pair against every request.
fn check(capabilities: &[Capability], requests: &[Request<'_>]) {
    for a in capabilities {
        for b in capabilities {
            let met = a.meet(b);
            let witness = requests.iter().find(|request| a.admits(request) && !b.admits(request));
            assert_eq!(a.is_within(b), witness.is_none(), "{a} ⊑ {b}: {witness:?}");
            for request in requests {
                let both = a.admits(request) && b.admits(request);
                let admitted = met.as_ref().is_some_and(|met| met.admits(request));
                assert_eq!(admitted, both, "{a} ∩ {b} = {met:?} on {request:?}");
            }
        }
    }
}

#[test]
fn patterns() {
    let capabilities: Vec<Capability> =
        PATTERNS.iter().map(|pattern| format!("s:k{pattern}").parse().unwrap()).collect();
    let requests: Vec<Request<'_>> = PATHS.iter().map(|path| request(path, HERE)).collect();
    check(&capabilities, &requests);
}

#[test]
fn constraints_of_each_kind() {
    for (group, constraints) in CONSTRAINTS.iter().enumerate() {
        let text = |constraint: &&str| {
            if constraint.is_empty() { "s:k/a".to_owned() } else { format!("s:k/a{{{constraint}}}") }
        };
        let capabilities: Vec<Capability> = constraints.iter().map(|c| text(c).parse().unwrap()).collect();
        let circumstances = circumstances(group);
        let requests: Vec<Request<'_>> = circumstances.iter().map(|at| request(&["a"], *at)).collect();
        check(&capabilities, &requests);
    }
}

#[test]
fn a_window_and_its_two_ends() {
    let texts = [
        "",
        "{exp<1}",
        "{exp<2}",
        "{exp<3}",
        "{nbf>=1}",
        "{nbf>=2}",
        "{exp<2;nbf>=1}",
        "{exp<3;nbf>=1}",
        "{exp<3;nbf>=2}",
    ];
    let capabilities: Vec<Capability> =
        texts.iter().map(|window| format!("s:k/a{window}").parse().unwrap()).collect();
    let times: Vec<Circumstances> = (0..5).map(|time| Circumstances { time, ..HERE }).collect();
    let requests: Vec<Request<'_>> = times.iter().map(|at| request(&["a"], *at)).collect();
    check(&capabilities, &requests);
}
