//! Protocol versions: which is asked for, which is served (spec §3.6).

use serde_json::json;

use crate::suite::bench::{Bench, message, new_id};
use crate::suite::check::{Finding, checks, ensure, skip};
use crate::suite::http::Manner;
use crate::suite::operation::{
    CANCEL, GET, LIST, SEND, STREAM, SUBSCRIBE, TASK_NOT_FOUND, VERSION_NOT_SUPPORTED,
};
use crate::suite::shape::list;

checks! {
    Each an_unsupported_version_is_refused_on_every_operation;
    Each no_version_means_0_3;
    Each a_patch_version_does_not_matter;
    Json the_version_may_stand_in_the_query;
}

async fn an_unsupported_version_is_refused_on_every_operation(bench: &Bench) -> Finding {
    let mut seen = String::new();
    let operations = [
        (SEND, message("hello")),
        (GET, json!({ "id": new_id() })),
        (LIST, json!({})),
        (CANCEL, json!({ "id": new_id() })),
        (STREAM, message("hello")),
        (SUBSCRIBE, json!({ "id": new_id() })),
    ];
    for (operation, params) in operations {
        for version in ["99.0", "2.0"] {
            let manner = bench.manner().version(Some(version));
            let fault = bench.refused_as(operation, &params, &manner).await?;
            fault.must_be(VERSION_NOT_SUPPORTED)?;
            seen = fault.seen();
        }
    }
    Ok(seen)
}

async fn no_version_means_0_3(bench: &Bench) -> Finding {
    let old = list(&bench.server.card["supportedInterfaces"]).iter().any(|interface| {
        interface["protocolVersion"].as_str().is_some_and(|version| version.starts_with("0.3"))
    });
    if old || bench.server.card["protocolVersion"].as_str().is_some_and(|version| version.starts_with("0.3"))
    {
        return skip("the server also serves 0.3");
    }
    let mut seen = String::new();
    for version in [None, Some("")] {
        let manner = bench.manner().version(version);
        let fault = bench.refused_as(GET, &json!({ "id": new_id() }), &manner).await?;
        let judged = fault.must_be(VERSION_NOT_SUPPORTED);
        ensure!(
            judged.is_ok(),
            "version {version:?} was not taken for 0.3, which is not served: {}",
            fault.seen()
        );
        seen = fault.seen();
    }
    Ok(seen)
}

async fn a_patch_version_does_not_matter(bench: &Bench) -> Finding {
    let manner = bench.manner().version(Some("1.0.7"));
    let fault = bench.refused_as(GET, &json!({ "id": new_id() }), &manner).await?;
    fault.must_be(TASK_NOT_FOUND)?;
    Ok("1.0.7 is served as 1.0".into())
}

async fn the_version_may_stand_in_the_query(bench: &Bench) -> Finding {
    let manner = Manner { version_in_query: true, ..bench.manner() };
    let fault = bench.refused_as(GET, &json!({ "id": new_id() }), &manner).await?;
    fault.must_be(TASK_NOT_FOUND)?;
    Ok("?A2A-Version=1.0 is served".into())
}
