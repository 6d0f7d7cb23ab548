//! Every official SDK as a client, with every official SDK as an agent, over every binding either has, through the
//! broker: seven features each. What an SDK cannot do is declared in one table ([`limits`]), and everything else has to
//! work; the table in docs/conformance.md is written from what was seen.

mod judge;
mod limits;
mod stage;
mod subjects;
mod table;

use std::collections::BTreeMap;

use judge::Verdicts;
use stage::Stage;
use subjects::{Cell, Feature, Way};

#[tokio::test(flavor = "multi_thread")]
async fn every_sdk_works_with_every_other_through_the_broker() {
    let ways = subjects::ways();
    let stage = Stage::set(&ways).await;
    limits::assert_bindings_stay_missing(&stage).await;
    let seen = judge_all(&stage, &ways).await;
    let problems = limits::compare(&seen);
    assert!(problems.is_empty(), "{} of {} cells:\n{}", problems.len(), seen.len(), problems.join("\n"));
    if subjects::are_all_here() {
        table::check(&ways, &seen);
    }
}

async fn judge_all(stage: &Stage, ways: &[Way]) -> BTreeMap<Cell, Result<(), String>> {
    let played = stage.play(ways).await;
    let verdicts = Verdicts::new(stage, &played);
    let mut seen = BTreeMap::new();
    for (client, agent) in played.keys() {
        for feature in Feature::ALL {
            let cell = Cell { client: *client, agent: *agent, feature };
            seen.insert(cell, verdicts.of(cell));
        }
    }
    // Pushes arrive when they arrive: last, and with patience.
    for (cell, verdict) in &mut seen {
        if cell.feature == Feature::Push && verdict.is_ok() && limits::of(*cell).is_none() {
            *verdict = verdicts.pushed(*cell).await;
        } else if cell.feature == Feature::Push && verdict.is_ok() {
            *verdict = verdicts.has_been_pushed(*cell);
        }
    }
    seen
}
