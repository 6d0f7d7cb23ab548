//! How much history an answer has (spec §3.2.4), wherever it can be asked for.

use serde_json::{Value, json};

use crate::suite::bench::{Bench, id, message};
use crate::suite::check::{Finding, Stop, checks, ensure, shown};
use crate::suite::operation::{GET, LIST, SEND};
use crate::suite::shape::list;

checks! {
    Each history_length_0_leaves_history_out;
    Each history_is_no_longer_than_asked;
    Each a_negative_history_length_is_refused;
}

/// A finished task as each operation shows it with a history length.
async fn everywhere(bench: &Bench, length: usize) -> Result<Vec<(&'static str, Value)>, Stop> {
    let task = bench.finished().await?;
    let get = bench.call(GET, &json!({ "id": id(&task)?, "historyLength": length })).await?;
    let params = json!({ "contextId": task["contextId"], "historyLength": length });
    let listed = bench.call(LIST, &params).await?["tasks"][0].clone();
    let mut params = message("hello");
    params["configuration"] = json!({ "historyLength": length });
    let sent = bench.task(&params).await?;
    Ok(vec![("GetTask", get), ("ListTasks", listed), ("SendMessage", sent)])
}

async fn history_length_0_leaves_history_out(bench: &Bench) -> Finding {
    for (operation, task) in everywhere(bench, 0).await? {
        ensure!(
            task.get("history").is_none(),
            "{operation} with historyLength 0: {}",
            shown(&task["history"])
        );
    }
    Ok("no history member in GetTask, ListTasks, SendMessage".into())
}

async fn history_is_no_longer_than_asked(bench: &Bench) -> Finding {
    for length in [0, 1] {
        for (operation, task) in everywhere(bench, length).await? {
            let messages = list(&task["history"]).len();
            ensure!(messages <= length, "{operation} with historyLength {length} shows {messages} messages");
        }
    }
    Ok("at most as many messages as asked for".into())
}

async fn a_negative_history_length_is_refused(bench: &Bench) -> Finding {
    let task = bench.finished().await?;
    let fault = bench.refused(GET, &json!({ "id": id(&task)?, "historyLength": -5 })).await?;
    fault.must_be_invalid_params()?;
    let mut params = message("hello");
    params["configuration"] = json!({ "historyLength": -5 });
    bench.refused(SEND, &params).await?.must_be_invalid_params()?;
    Ok(fault.seen())
}
