//! The shipped weights on the labelled sets, where those are at hand: the figures must not silently get worse.

use std::path::PathBuf;
use std::sync::Arc;

use broker_selection::evaluation::{Set, evaluate, index_of};
use broker_selection::{Embedder, Table};

use crate::cards::weights;

fn folder() -> PathBuf {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/selection");
    std::env::var_os("BAILIWICK_LABELLED_SETS").map_or_else(beside, PathBuf::from)
}

#[test]
fn the_static_tier_keeps_its_accuracy() {
    let folder = folder().join("clinc150");
    let read = |file: &str| std::fs::read_to_string(folder.join(file));
    let (Ok(agents), Ok(requests)) = (read("agents.jsonl"), read("requests.jsonl")) else {
        println!(
            "not tried: no labelled set at {}; name its parent in BAILIWICK_LABELLED_SETS",
            folder.display()
        );
        return;
    };
    let mut set = Set::parse("clinc150", &agents, &requests).unwrap();
    // Unoptimised code is slow: every fourth request is enough to see a fall of a few points.
    set.requests = set.requests.into_iter().step_by(4).collect();
    let embedder: Arc<dyn Embedder> = Arc::new(Table::shipped().unwrap());
    let report = evaluate(&set, &index_of(&set, embedder).unwrap(), &weights(), 0, &|| 0.0).unwrap();
    assert!(report.top1 > 78.0 && report.top3 > 91.0, "{report:?}");
    assert!(report.oos_auroc.unwrap() > 0.88, "{report:?}");
}
