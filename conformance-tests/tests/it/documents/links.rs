//! Relative links lead to files that are there, and to headings that are in them.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::{pages, repository};

/// A path without `..`; none if it leaves the repository.
fn tidied(path: &Path) -> Option<PathBuf> {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir if tidy.pop() => {}
            Component::ParentDir => return None,
            part => tidy.push(part),
        }
    }
    Some(tidy)
}

#[test]
fn every_relative_link_leads_to_a_file_and_a_heading_that_are_there() {
    let (root, pages) = (repository(), pages());
    let (mut followed, mut broken) = (0, Vec::new());
    for page in &pages {
        for link in page.links.iter().filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let folder = page.path.parent().expect("a folder");
            let target = if file.is_empty() { Some(page.path.clone()) } else { tidied(&folder.join(file)) };
            let there = target.as_ref().is_some_and(|target| root.join(target).exists());
            let known = pages.iter().find(|page| Some(&page.path) == target.as_ref());
            let found =
                heading.is_empty() || known.is_some_and(|page| page.anchors.iter().any(|one| one == heading));
            if !there || !found {
                broken.push(format!("{}: {link}", page.path.display()));
            }
            followed += 1;
        }
    }
    assert!(followed > 100, "only {followed} links were seen");
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}

#[test]
fn every_page_has_its_place_in_the_book() {
    let pages = pages();
    let summary = pages.iter().find(|page| page.path.ends_with("SUMMARY.md")).expect("a summary");
    let listed: BTreeSet<_> =
        summary.links.iter().filter_map(|link| tidied(&Path::new("docs").join(link))).collect();
    for page in pages.iter().filter(|page| page.path != summary.path) {
        assert!(listed.contains(&page.path), "docs/SUMMARY.md does not list {}", page.path.display());
    }
}
