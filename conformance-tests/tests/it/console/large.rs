//! A tree of five thousand tasks: the page holds what can be looked at and no more, and still shows all of it.

use std::sync::Arc;

use conformance_tests::{Browser, until, wire};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::crowd::Crowd;
use super::{Stage, picture, skipped};

/// Tasks below the root.
const TASKS: usize = 4_999;
/// Delegations under way at a time.
const AT_ONCE: usize = 64;
/// Most elements that the page may have, however large the tree: a few screens of rows, a drawing, a log.
const MOST_ELEMENTS: u64 = 9_000;
/// Most rows of the list that are in the page.
const MOST_ROWS: u64 = 80;

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_of_five_thousand_tasks_is_a_page_of_bounded_size_in_which_all_can_be_found() {
    if skipped("a tree of 5,000 tasks in the console") {
        return;
    }
    let limits = "[limits]\nmax_fanout = 10000\nmax_tree_tasks = 10000\nmax_live_tasks = 10000\n[store]\nfsync = false\n";
    let stage = Stage::start(limits, &[("boss", &["a2a:skill/**"])], None).await;
    let crowd = Crowd::start().await;
    stage.broker.add_agent("crowd", &crowd.url, &[]).await;
    let root = stage.send("boss", &json!({ "gate": stage.wait("end"), "chunks": ["all"] }), None).await;
    until("the boss is at work", async || !stage.agents["boss"].logged("received").is_empty()).await;
    let grant = stage.agents["boss"].logged("received")[0]["told"]["grant"].as_str().unwrap().to_owned();

    let browser = Browser::start();
    let page = browser.open(&stage.console(&format!("#/tree/{root}"))).await;
    page.resize(1440, 900).await;
    page.sees("h1", "boss").await;
    let (url, places) = (stage.broker.agent_url("crowd"), Arc::new(Semaphore::new(AT_ONCE)));
    let mut sending = JoinSet::new();
    for number in 0..TASKS {
        let (url, grant, places) = (url.clone(), grant.clone(), Arc::clone(&places));
        sending.spawn(async move {
            let _place = places.acquire_owned().await.expect("open");
            let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "SendMessage",
                "params": wire::message(&format!("n{number}"), &format!("piece {number}")) });
            let answer = wire::post(&url, &body, Some(&grant)).await.json();
            assert_eq!(answer["result"]["message"]["parts"][0]["text"], "done", "{answer}");
        });
    }
    while let Some(sent) = sending.join_next().await {
        sent.expect("every one is answered");
    }
    page.sees("#tree-count", "5,000 tasks, 1 open").await;

    let size = page.eval("[document.querySelectorAll('*').length, document.querySelectorAll('[role=treeitem]').length, document.querySelectorAll('svg .box').length]").await;
    assert!(size[0].as_u64() < Some(MOST_ELEMENTS) && size[1].as_u64() < Some(MOST_ROWS), "{size}");
    assert!(size[2].as_u64().is_some_and(|boxes| (2..=250).contains(&boxes)), "{size}");
    page.sees("svg .bundle", "more").await;
    picture(&page, "large-laptop-light").await;

    // By keys from one end to the other, and what is walked to is there for whoever is read to.
    page.eval("document.querySelector('[role=tree]').focus()").await;
    page.press("End").await;
    page.until(
        "the last one",
        "document.querySelector('[role=treeitem][aria-selected=true]')?.ariaPosInSet === '4999'",
    )
    .await;
    page.until("and it is in sight", "(() => { const row = document.querySelector('[role=treeitem][aria-selected=true]').getBoundingClientRect(); const list = document.querySelector('[role=tree]').getBoundingClientRect(); return row.bottom <= list.bottom + 1 && row.top >= list.top; })()").await;
    page.sees(".details h2", "crowd").await;
    page.press("Home").await;
    page.press("ArrowLeft").await;
    page.until("folded away", "document.querySelectorAll('[role=treeitem]').length === 1").await;
    page.press("ArrowRight").await;
    page.until("and back", "document.querySelectorAll('[role=treeitem]').length > 10").await;
    // More of the bundle, when asked for.
    let before = page.eval("document.querySelectorAll('svg .box').length").await.as_u64();
    page.eval(
        "document.querySelector('svg .bundle').dispatchEvent(new MouseEvent('click', { bubbles: true }))",
    )
    .await;
    page.until("more boxes", &format!("document.querySelectorAll('svg .box').length > {}", before.unwrap()))
        .await;
    assert!(page.eval("document.querySelectorAll('*').length").await.as_u64() < Some(MOST_ELEMENTS));
    stage.open("end").await;
    page.sees(".meta .chip", "Completed").await;
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
