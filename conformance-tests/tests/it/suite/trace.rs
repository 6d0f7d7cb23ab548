//! `requirements.toml` is complete and true: every check judges a requirement, every requirement has checks or a
//! reason, every keyword of the specification is accounted for.

use std::collections::{BTreeMap, BTreeSet};

use conformance_tests::suite::requirement::Trace;
use conformance_tests::suite::{checks, protobuf};

#[test]
fn every_check_has_a_name_of_its_own_and_a_requirement() {
    let trace = Trace::read().unwrap();
    let named: BTreeSet<&str> =
        trace.requirements().flat_map(|requirement| requirement.checks.iter().map(String::as_str)).collect();
    let mut known = BTreeSet::new();
    for check in checks::all() {
        assert!(known.insert(check.name), "two checks are named {}", check.name);
        assert!(named.contains(check.name), "{} judges no requirement", check.name);
    }
    let absent: Vec<_> = named.difference(&known).collect();
    assert!(absent.is_empty(), "requirements.toml names checks that do not exist: {absent:?}");
}

#[test]
fn every_requirement_has_checks_or_one_reason() {
    let trace = Trace::read().unwrap();
    let mut ids = BTreeSet::new();
    for section in &trace.sections {
        for requirement in &section.requirements {
            let id = &requirement.id;
            assert!(ids.insert(id), "{id} stands there twice");
            assert_eq!(id.rsplit_once('-').unwrap().0, section.id, "{id} stands in {}", section.id);
            let reasons = [&requirement.untestable, &requirement.document];
            let reasons = reasons.iter().filter(|reason| reason.is_some()).count();
            let ways =
                reasons + usize::from(requirement.client) + usize::from(!requirement.checks.is_empty());
            assert_eq!(ways, 1, "{id} needs checks, or exactly one reason why it has none");
        }
    }
}

#[test]
fn every_keyword_of_a_section_is_accounted_for() {
    for section in Trace::read().unwrap().sections {
        let traced: usize = section.requirements.iter().map(|requirement| requirement.keywords).sum();
        assert_eq!(traced, section.keywords, "section {} ({})", section.id, section.title);
    }
}

/// Counts the keywords of a copy of the specification, if there is one to count in.
#[test]
fn the_keywords_are_those_of_the_specification() {
    let Ok(path) = std::env::var("A2A_SPECIFICATION") else { return };
    let text = std::fs::read_to_string(&path).expect("A2A_SPECIFICATION names the specification");
    let mut counted: BTreeMap<String, usize> = BTreeMap::new();
    let mut section = String::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix('#') {
            let heading = heading.trim_start_matches('#').trim();
            let number = heading.split(' ').next().unwrap_or_default().trim_end_matches('.');
            section = match heading {
                _ if heading.starts_with("Appendix A") || number.starts_with("A.") => "A".into(),
                _ => number.to_owned(),
            };
        }
        let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        let keywords = ["MUST", "SHALL", "REQUIRED", "SHOULD", "RECOMMENDED"];
        let count = words.filter(|word| keywords.contains(word)).count();
        if count > 0 {
            *counted.entry(section.clone()).or_default() += count;
        }
    }
    let traced = Trace::read().unwrap().sections.into_iter().filter(|section| section.keywords > 0);
    let traced: BTreeMap<String, usize> = traced.map(|section| (section.id, section.keywords)).collect();
    assert_eq!(traced, counted);
}

/// The suite reads gRPC by descriptors that were made of the definition; a copy that has fallen behind would call
/// fields unknown.
#[test]
fn the_descriptors_are_those_of_the_definition() {
    let text = include_str!("../../../../protocol/proto/a2a.proto");
    let mut wanted = BTreeSet::new();
    let mut message = "";
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("message ") {
            message = rest.trim_end_matches(" {");
        }
        let field = line.split("//").next().unwrap_or_default().split('[').next().unwrap_or_default();
        let Some((left, number)) = field.trim_end_matches(';').trim().rsplit_once(" = ") else { continue };
        let (Some(name), Ok(number)) = (left.split(' ').next_back(), number.trim().parse::<u32>()) else {
            continue;
        };
        if left.contains(' ') && !message.is_empty() {
            wanted.insert(format!("{message}.{name} {number}"));
        }
    }
    let known: BTreeSet<String> = protobuf::fields().unwrap().into_iter().collect();
    assert!(known.len() > 100, "{known:?}");
    assert_eq!(known, wanted);
}
