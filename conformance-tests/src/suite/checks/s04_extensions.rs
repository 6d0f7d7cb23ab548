//! Extensions: unknown ones do no harm, required ones are required (spec §4.6.3, §3.3.4).

use crate::suite::bench::{Bench, message};
use crate::suite::check::{Finding, checks, skip};
use crate::suite::operation::{EXTENSION_SUPPORT_REQUIRED, SEND};
use crate::suite::shape::list;

checks! {
    Each an_unknown_extension_is_ignored;
    Each a_required_extension_is_required;
}

async fn an_unknown_extension_is_ignored(bench: &Bench) -> Finding {
    let unknown = "https://example.com/extensions/conformance/v99, urn:example:conformance";
    let result =
        bench.call_as(SEND, &message("hello"), &bench.manner().header("A2A-Extensions", unknown)).await?;
    Ok(format!("served as without: a {}", if result["task"].is_object() { "task" } else { "message" }))
}

async fn a_required_extension_is_required(bench: &Bench) -> Finding {
    let extensions = list(&bench.server.card["capabilities"]["extensions"]);
    if !extensions.iter().any(|extension| extension["required"] == true) {
        return skip("the card requires no extension");
    }
    let fault = bench.refused(SEND, &message("hello")).await?;
    fault.must_be(EXTENSION_SUPPORT_REQUIRED)?;
    Ok(fault.seen())
}
