//! The shared kinds in tenuo: one constraint set per capability. Paths and hosts become one field per segment, absent
//! segments are null, because tenuo's own glob does not stop at a slash.

use std::collections::HashMap;

use tenuo::{Constraint, ConstraintSet, ConstraintValue, Exact, NotOneOf, OneOf, Pattern, Range, Wildcard};

use crate::kinds::{Atom, Bound, Given, Segment, Segments, Wish};
use crate::random::MAX_PATH;

/// Arguments by their type: `Scalar` is one field, `Segments` is one per segment.
const SCALARS: [&str; 6] = ["amount", "calls", "usd", "region", "nbf", "exp"];
const SEGMENTED: [&str; 2] = ["path", "host"];

/// What an atom admits; arguments it does not name are free.
pub fn constraints(atom: &Atom) -> ConstraintSet {
    let mut set = ConstraintSet::new();
    set.set_allow_unknown(true);
    set.insert("action", Exact::new(atom.action));
    insert_segments(&mut set, "resource", &atom.resource);
    for (name, bound) in &atom.bounds {
        match bound {
            Bound::Path(pattern) | Bound::Host(pattern) => insert_segments(&mut set, name, pattern),
            scalar => set.insert(*name, scalar_constraint(scalar)),
        }
    }
    set
}

/// The same with every argument named, since tenuo narrows only between sets of the same names.
pub fn padded(atom: &Atom) -> ConstraintSet {
    let mut set = constraints(atom);
    for name in SCALARS.iter().filter(|name| !atom.bounds.contains_key(**name)) {
        set.insert(*name, Wildcard::new());
    }
    for name in SEGMENTED.iter().filter(|name| !atom.bounds.contains_key(**name)) {
        set.insert(given(name), Wildcard::new());
        (0..MAX_PATH).for_each(|index| set.insert(field(name, index), Wildcard::new()));
    }
    set
}

/// Whether tenuo lets `parent` be narrowed to `child`.
pub fn narrows(child: &Atom, parent: &Atom) -> bool {
    padded(parent).validate_attenuation(&padded(child)).is_ok()
}

/// Whether one of the sets matches a wish.
pub fn allows(sets: &[ConstraintSet], wish: &Wish) -> bool {
    let args = args(wish);
    sets.iter().any(|set| set.matches(&args).is_ok())
}

fn args(wish: &Wish) -> HashMap<String, ConstraintValue> {
    let mut args = HashMap::from([("action".to_owned(), ConstraintValue::from(wish.action))]);
    give_segments(&mut args, "resource", &wish.path);
    // A warrant has one lifetime for all its tools; the windows of its capabilities are ranges of the time.
    args.extend(["nbf", "exp"].map(|name| (name.to_owned(), integer(wish.time))));
    for (name, given) in &wish.args {
        match given {
            Given::Int(value) => {
                args.insert((*name).to_owned(), integer(*value));
            }
            Given::Text(word) => {
                args.insert((*name).to_owned(), ConstraintValue::from(word.clone()));
            }
            Given::Path(parts) | Given::Host(parts) => give_segments(&mut args, name, parts),
        }
    }
    args
}

fn field(name: &str, index: usize) -> String {
    format!("{name}.{index}")
}

/// Says that the argument is there at all: to be any path is less than not to be asked for one.
fn given(name: &str) -> String {
    format!("{name}.given")
}

fn insert_segments(set: &mut ConstraintSet, name: &str, pattern: &Segments) {
    set.insert(given(name), Exact::new(true));
    for index in 0..MAX_PATH {
        let constraint = match pattern.segments.get(index) {
            Some(Segment::Literal(text)) => Exact::new(text.as_str()).into(),
            Some(Segment::Prefix(prefix)) => glob(&format!("{prefix}*")),
            Some(Segment::Any) => glob("*"),
            None if pattern.rest => Wildcard::new().into(),
            None => Exact::new(ConstraintValue::Null).into(),
        };
        set.insert(field(name, index), constraint);
    }
}

fn give_segments(args: &mut HashMap<String, ConstraintValue>, name: &str, parts: &[String]) {
    args.insert(given(name), ConstraintValue::Boolean(true));
    for index in 0..MAX_PATH {
        let value =
            parts.get(index).map_or(ConstraintValue::Null, |part| ConstraintValue::from(part.clone()));
        args.insert(field(name, index), value);
    }
}

fn scalar_constraint(bound: &Bound) -> Constraint {
    match bound {
        Bound::In(words) => OneOf::new(words.iter().cloned()).into(),
        Bound::NotIn(words) => NotOneOf::new(words.iter().cloned()).into(),
        Bound::Range(lo, hi) => Range::new(lo.map(number), hi.map(number)).expect("finite").into(),
        Bound::From(time) => Range::min(number(*time)).expect("finite").into(),
        Bound::Before(time) => Range::max(number(*time)).expect("finite").max_exclusive().into(),
        Bound::Path(_) | Bound::Host(_) => unreachable!("these are several fields"),
    }
}

fn glob(pattern: &str) -> Constraint {
    Pattern::new(pattern).expect("a glob").into()
}

fn integer(value: u64) -> ConstraintValue {
    ConstraintValue::Integer(i64::try_from(value).expect("tenuo's integers have 63 bits"))
}

fn number(value: u64) -> f64 {
    value as f64
}
