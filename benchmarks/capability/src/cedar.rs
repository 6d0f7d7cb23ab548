//! The shared kinds in Cedar: one `permit` per capability, over a context that holds segments as attributes, because
//! Cedar's own wildcard (`like`) does not stop at a slash.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityUid, PolicySet, Request, RestrictedExpression,
};

use crate::kinds::{Atom, Bound, Given, Segment, Segments, Wish};

/// The policies of these atoms.
pub fn policies(atoms: &[Atom]) -> PolicySet {
    let text: String = atoms.iter().map(policy).collect();
    text.parse().unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Whether Cedar allows a wish.
pub fn allows(policies: &PolicySet, wish: &Wish) -> bool {
    let mut context =
        vec![("resource".to_owned(), segments_value(&wish.path)), ("now".to_owned(), long(wish.time))];
    context.extend(wish.args.iter().map(|(name, given)| ((*name).to_owned(), value(given))));
    decide(policies, wish.action, r#"Nothing::"""#, context, &Entities::empty())
}

/// Whether policy text in which the resource is a path in a hierarchy (`resource in Path::"/a"`) allows this path.
pub fn allows_in_hierarchy(policies: &PolicySet, action: &str, path: &[String]) -> bool {
    let uid = |length: usize| path_uid(&path[..length]);
    let entity = |length: usize| {
        let parents = length.checked_sub(1).map(uid);
        Entity::new_no_attrs(uid(length), HashSet::from_iter(parents))
    };
    let entities = Entities::from_entities((0..=path.len()).map(entity), None).expect("a chain has no cycle");
    decide(policies, action, &uid(path.len()).to_string(), Vec::new(), &entities)
}

/// Whether policy text allows arguments as they are given.
pub fn allows_args(policies: &str, args: Vec<(&str, RestrictedExpression)>) -> bool {
    let policies = policies.parse().unwrap_or_else(|error| panic!("{error}: {policies}"));
    let context = args.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    decide(&policies, "any", r#"Nothing::"""#, context, &Entities::empty())
}

/// The policy of a folder pattern, through the hierarchy.
pub fn hierarchy_policy(action: &str, folder: &Segments) -> PolicySet {
    let literal = |segment: &Segment| match segment {
        Segment::Literal(text) => text.clone(),
        Segment::Prefix(_) | Segment::Any => panic!("a folder has literal segments"),
    };
    let uid = path_uid(&folder.segments.iter().map(literal).collect::<Vec<_>>());
    let relation = if folder.rest { "in" } else { "==" };
    format!(r#"permit(principal, action == Action::"{action}", resource {relation} {uid});"#)
        .parse()
        .expect("a policy")
}

fn decide(
    policies: &PolicySet,
    action: &str,
    resource: &str,
    context: Vec<(String, RestrictedExpression)>,
    entities: &Entities,
) -> bool {
    let uid = |text: &str| text.parse::<EntityUid>().expect("an entity");
    let context = Context::from_pairs(context).expect("names are unique");
    let action = uid(&format!("Action::{action:?}"));
    let request =
        Request::new(uid(r#"Agent::"b""#), action, uid(resource), context, None).expect("no schema");
    Authorizer::new().is_authorized(&request, policies, entities).decision() == Decision::Allow
}

fn path_uid(segments: &[String]) -> EntityUid {
    let path: String = segments.iter().map(|segment| format!("/{segment}")).collect();
    format!("Path::{path:?}").parse().expect("an entity")
}

fn policy(atom: &Atom) -> String {
    let mut conditions = fits("context.resource", &atom.resource);
    for (name, bound) in &atom.bounds {
        let _ = match bound {
            Bound::From(time) => write!(conditions, " && context.now >= {time}"),
            Bound::Before(time) => write!(conditions, " && context.now < {time}"),
            _ => {
                let condition = condition(&format!("context.{name}"), bound);
                write!(conditions, " && context has {name} && {condition}")
            }
        };
    }
    format!("permit(principal, action == Action::{:?}, resource) when {{ {conditions} }};\n", atom.action)
}

fn condition(at: &str, bound: &Bound) -> String {
    match bound {
        Bound::In(words) => format!("{}.contains({at})", set(words)),
        // `like` is asked first: it fails on what is not a string, which a set simply does not contain.
        Bound::NotIn(words) => format!("{at} like \"*\" && !({}.contains({at}))", set(words)),
        Bound::Range(lo, hi) => {
            let lo = lo.map(|lo| format!("{at} >= {lo}"));
            let hi = hi.map(|hi| format!("{at} <= {hi}"));
            lo.into_iter().chain(hi).collect::<Vec<_>>().join(" && ")
        }
        Bound::Path(pattern) | Bound::Host(pattern) => fits(at, pattern),
        Bound::From(_) | Bound::Before(_) => unreachable!("these are about the time, not about an argument"),
    }
}

fn fits(at: &str, pattern: &Segments) -> String {
    let comparison = if pattern.rest { ">=" } else { "==" };
    let mut conditions = format!("{at}.length {comparison} {}", pattern.segments.len());
    for (index, segment) in pattern.segments.iter().enumerate() {
        let _ = match segment {
            Segment::Literal(text) => write!(conditions, " && {at}.s{index} == {text:?}"),
            Segment::Prefix(prefix) => write!(conditions, " && {at}.s{index} like \"{prefix}*\""),
            Segment::Any => Ok(()),
        };
    }
    conditions
}

fn set(words: &BTreeSet<String>) -> String {
    format!("{:?}", words.iter().collect::<Vec<_>>())
}

fn value(given: &Given) -> RestrictedExpression {
    match given {
        Given::Int(value) => long(*value),
        Given::Text(word) => RestrictedExpression::new_string(word.clone()),
        Given::Path(parts) | Given::Host(parts) => segments_value(parts),
    }
}

fn segments_value(parts: &[String]) -> RestrictedExpression {
    let mut fields: HashMap<String, RestrictedExpression> = parts
        .iter()
        .enumerate()
        .map(|(index, part)| (format!("s{index}"), RestrictedExpression::new_string(part.clone())))
        .collect();
    fields.insert("length".to_owned(), long(parts.len() as u64));
    RestrictedExpression::new_record(fields).expect("names are unique")
}

fn long(value: u64) -> RestrictedExpression {
    RestrictedExpression::new_long(i64::try_from(value).expect("Cedar's integers have 63 bits"))
}
