//! The house rules that are absences: what must not know of what.

use std::path::{Path, PathBuf};

fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}

/// (room, what must not be mentioned there)
const ABSENCES: [(&str, &[&str]); 10] = [
    ("../protocol/src", &["urn:bailiwick", "capability::", "broker_core", "scope"]),
    ("../capability/src", &["TaskState", "protocol::", "broker_core"]),
    ("acceptance/src", &["tokio", "TaskId", "broker_core", "capability::"]),
    ("core/src", &["tokio", "broker::"]),
    ("src/ports", &["crate::service", "crate::store", "crate::northbound", "crate::southbound"]),
    ("src/service", &["hyper", "crate::store", "crate::northbound", "crate::southbound", "fjall"]),
    ("src/northbound", &["crate::store", "crate::southbound", "crate::ports", "fjall"]),
    ("src/southbound", &["crate::store", "crate::northbound", "crate::service"]),
    ("src/store", &["crate::northbound", "crate::southbound", "crate::service"]),
    ("../conformance-tests", &["protocol::", "broker_core", "capability::"]),
];

#[test]
fn no_room_knows_of_what_it_must_not() {
    for (room, absences) in ABSENCES {
        for (path, text) in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(room)) {
            for absent in absences {
                assert!(!text.contains(absent), "{} mentions {absent}", path.display());
            }
        }
    }
}

#[test]
fn files_stay_readable() {
    for room in [
        "../protocol",
        "../capability",
        "acceptance",
        "core",
        "src",
        "tests",
        "../conformance-tests",
        "../examples",
    ] {
        for (path, text) in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(room)) {
            let lines = text.lines().count();
            assert!(lines <= 520, "{} has {lines} lines; it is usually two things", path.display());
            assert!(text.starts_with("//!"), "{} does not say why it exists", path.display());
        }
    }
}
