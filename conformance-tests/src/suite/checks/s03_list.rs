//! Listing tasks: pages, order, filters, and tokens nobody gave out (spec §3.1.4).

use serde_json::{Value, json};

use crate::suite::bench::{Bench, id, message, state, texts};
use crate::suite::check::{Finding, Stop, checks, ensure, fail, shown, skip};
use crate::suite::operation::LIST;
use crate::suite::shape::list;

checks! {
    Each listed_tasks_leave_artifacts_out;
    Each listed_tasks_show_artifacts_when_asked;
    Json the_next_page_token_is_always_there;
    Each the_last_page_has_an_empty_token;
    Each pages_bring_every_task_once;
    Each tasks_are_listed_newest_first;
    Each a_page_says_its_size_and_the_total;
    Each the_context_filter_holds;
    Each the_state_filter_holds;
    Each the_time_filter_holds;
    Each page_sizes_outside_1_to_100_are_refused;
    Each a_forged_page_token_is_refused;
}

/// How many tasks a check makes that needs more than one page.
const SEVERAL: usize = 3;

/// Tasks in one context of their own, oldest first, and that context.
async fn several(bench: &Bench) -> Result<(Vec<String>, Value), Stop> {
    let first = bench.finished().await?;
    let context = first["contextId"].clone();
    ensure!(context.is_string(), "a task without contextId: {}", shown(&first));
    let mut ids = vec![id(&first)?];
    while ids.len() < SEVERAL {
        let mut params = message("hello");
        params["message"]["contextId"] = context.clone();
        let task = bench.task(&params).await?;
        if task["contextId"] != context {
            return skip("the agent does not keep the context it made");
        }
        ids.push(id(&bench.settled(&id(&task)?).await?)?);
    }
    Ok((ids, context))
}

/// Every task of a listing, page by page.
async fn all_pages(bench: &Bench, context: &Value, size: usize) -> Result<Vec<Value>, Stop> {
    let (mut tasks, mut token) = (Vec::new(), String::new());
    for _ in 0..=SEVERAL {
        let mut params = json!({ "contextId": context, "pageSize": size });
        if !token.is_empty() {
            params["pageToken"] = json!(token);
        }
        let page = bench.call(LIST, &params).await?;
        let on_page = list(&page["tasks"]);
        ensure!(on_page.len() <= size, "{} tasks on a page of {size}", on_page.len());
        tasks.extend(on_page.iter().cloned());
        page["nextPageToken"].as_str().unwrap_or_default().clone_into(&mut token);
        if token.is_empty() {
            return Ok(tasks);
        }
    }
    fail(format!("pages of {size} do not end; the last token was {}", shown(&token)))
}

async fn listed_tasks_leave_artifacts_out(bench: &Bench) -> Finding {
    let task = bench.finished().await?;
    for params in [json!({}), json!({ "includeArtifacts": false })] {
        let mut params = params;
        params["contextId"] = task["contextId"].clone();
        let page = bench.call(LIST, &params).await?;
        let with = list(&page["tasks"]).iter().find(|task| task.get("artifacts").is_some());
        ensure!(with.is_none(), "a listed task with artifacts: {}", shown(with.unwrap_or(&Value::Null)));
    }
    Ok("no artifacts member".into())
}

async fn listed_tasks_show_artifacts_when_asked(bench: &Bench) -> Finding {
    let task = bench.finished().await?;
    if list(&task["artifacts"]).is_empty() {
        return skip("the agent made no artifact");
    }
    let params = json!({ "contextId": task["contextId"], "includeArtifacts": true });
    let page = bench.call(LIST, &params).await?;
    let found = list(&page["tasks"]).iter().find(|listed| listed["id"] == task["id"]);
    // Semantically the same is enough: members with default values may be there or not.
    let shows = found.is_some_and(|found| texts(&found["artifacts"]) == texts(&task["artifacts"]));
    ensure!(shows, "asked for artifacts, and got {}", shown(&page));
    Ok("the artifacts".into())
}

async fn the_next_page_token_is_always_there(bench: &Bench) -> Finding {
    let (_, context) = several(bench).await?;
    for params in [json!({}), json!({ "pageSize": 1 }), json!({ "contextId": context, "pageSize": 100 })] {
        let page = bench.call(LIST, &params).await?;
        ensure!(
            page["nextPageToken"].is_string(),
            "{params} gave a page without nextPageToken: {}",
            shown(&page)
        );
    }
    Ok("on every page".into())
}

async fn the_last_page_has_an_empty_token(bench: &Bench) -> Finding {
    let (_, context) = several(bench).await?;
    let page = bench.call(LIST, &json!({ "contextId": context, "pageSize": 100 })).await?;
    ensure!(page["nextPageToken"] == "", "the only page has nextPageToken {}", shown(&page["nextPageToken"]));
    Ok("\"\"".into())
}

async fn pages_bring_every_task_once(bench: &Bench) -> Finding {
    let (mut ids, context) = several(bench).await?;
    let mut listed = Vec::new();
    for task in all_pages(bench, &context, 1).await? {
        listed.push(id(&task)?);
    }
    ids.sort();
    let mut sorted = listed.clone();
    sorted.sort();
    ensure!(sorted == ids, "{} tasks were made, and pages of one brought {listed:?}", ids.len());
    Ok(format!("{} pages of one", ids.len()))
}

async fn tasks_are_listed_newest_first(bench: &Bench) -> Finding {
    let (mut ids, context) = several(bench).await?;
    let tasks = all_pages(bench, &context, 100).await?;
    let times: Vec<&str> = tasks.iter().filter_map(|task| task["status"]["timestamp"].as_str()).collect();
    if times.is_empty() {
        ids.reverse();
        let listed: Vec<String> = tasks.iter().map(id).collect::<Result<_, _>>()?;
        ensure!(listed == ids, "without timestamps, and not in the reverse of the order in which they ended");
        return Ok("the last ended first (no timestamps)".into());
    }
    ensure!(times.is_sorted_by(|a, b| a >= b), "timestamps in the order {times:?}");
    Ok(format!("{} timestamps, falling", times.len()))
}

async fn a_page_says_its_size_and_the_total(bench: &Bench) -> Finding {
    let (ids, context) = several(bench).await?;
    let page = bench.call(LIST, &json!({ "contextId": context, "pageSize": 2 })).await?;
    ensure!(page["totalSize"] == ids.len(), "{} tasks, and totalSize is {}", ids.len(), page["totalSize"]);
    ensure!(page["pageSize"] == 2, "asked for 2 a page, and pageSize is {}", page["pageSize"]);
    Ok(format!("pageSize 2, totalSize {}", ids.len()))
}

async fn the_context_filter_holds(bench: &Bench) -> Finding {
    let task = bench.finished().await?;
    let other = bench.finished().await?;
    ensure!(
        task["contextId"] != other["contextId"],
        "two first messages share the context {}",
        task["contextId"]
    );
    let page = bench.call(LIST, &json!({ "contextId": task["contextId"] })).await?;
    let ids: Vec<&Value> = list(&page["tasks"]).iter().map(|task| &task["id"]).collect();
    ensure!(ids == [&task["id"]], "the context has one task, listed are {ids:?}");
    let none = bench.call(LIST, &json!({ "contextId": "conformance-no-such-context" })).await?;
    ensure!(list(&none["tasks"]).is_empty(), "a context nobody made has tasks: {}", shown(&none));
    Ok("its task alone".into())
}

async fn the_state_filter_holds(bench: &Bench) -> Finding {
    let task = bench.finished().await?;
    let params = |state: &str| json!({ "contextId": task["contextId"], "status": state });
    let same = bench.call(LIST, &params(state(&task))).await?;
    ensure!(list(&same["tasks"]).len() == 1, "{} lists {}", state(&task), shown(&same));
    let other = bench.call(LIST, &params("TASK_STATE_AUTH_REQUIRED")).await?;
    ensure!(list(&other["tasks"]).is_empty(), "TASK_STATE_AUTH_REQUIRED lists {}", shown(&other));
    Ok(format!("{} and no other", state(&task)))
}

async fn the_time_filter_holds(bench: &Bench) -> Finding {
    let task = bench.finished().await?;
    let Some(time) = task["status"]["timestamp"].as_str() else { return skip("the task has no timestamp") };
    let params = |time: &str| json!({ "contextId": task["contextId"], "statusTimestampAfter": time });
    let since = bench.call(LIST, &params(time)).await?;
    ensure!(list(&since["tasks"]).len() == 1, "since its own time ({time}), listed are {}", shown(&since));
    let later = bench.call(LIST, &params("2999-01-01T00:00:00Z")).await?;
    ensure!(list(&later["tasks"]).is_empty(), "from the year 2999 on, listed are {}", shown(&later));
    Ok(format!("since {time}, that time included"))
}

async fn page_sizes_outside_1_to_100_are_refused(bench: &Bench) -> Finding {
    let mut seen = String::new();
    for size in [0, -1, 101] {
        let fault = bench.refused(LIST, &json!({ "pageSize": size })).await?;
        fault.must_be_invalid_params()?;
        seen = fault.seen();
    }
    Ok(seen)
}

async fn a_forged_page_token_is_refused(bench: &Bench) -> Finding {
    let mut seen = String::new();
    for token in ["conformance", "////", "9223372036854775807", "🙂", &"A".repeat(4_000)] {
        let fault = match bench.refused(LIST, &json!({ "pageToken": token })).await {
            Err(Stop::Fail(seen)) => return fail(format!("token {}: {seen}", shown(token))),
            other => other?,
        };
        fault.must_blame_the_caller()?;
        seen = fault.seen();
    }
    Ok(seen)
}
