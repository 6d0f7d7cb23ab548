//! Requests that ask for several things at once, made of requests for one each: any of their agents is a right one.

use broker_selection::evaluation::{Request, Split};

/// What stands between the parts.
const LINKS: [&str; 6] = [". ", ", and ", ". Then ", "; ", ". Also, ", " and then "];

/// Each request with one or two others from far away in the list, for other agents.
pub(crate) fn joined(requests: &[Request]) -> Vec<Request> {
    let count = requests.len();
    let mut all = Vec::new();
    for (at, first) in requests.iter().enumerate() {
        let parts = 2 + at % 3 % 2;
        let stride = (count / parts).max(1);
        let (mut text, mut expected) = (first.text.clone(), first.expected.clone());
        for part in 1..parts {
            let other = &requests[(at + part * stride) % count];
            if other.expected.iter().any(|id| expected.contains(id)) {
                continue;
            }
            let link = LINKS[(at + part) % LINKS.len()];
            text = format!("{}{link}{}", text.trim_end_matches(['.', ' ', '?', '!']), other.text);
            expected.extend(other.expected.iter().cloned());
        }
        if expected.len() > 1 {
            all.push(Request { text, expected, split: Split::Train });
        }
    }
    all
}
