//! What changes at the broker changes on the page, without anybody asking for it; and what somebody does on the page
//! happens at the broker.

use conformance_tests::{Browser, wire};
use serde_json::json;

use super::{Stage, picture, principals, skipped};

const FLEET: [(&str, &[&str]); 4] = [
    (
        "coordinator",
        &["a2a:skill/left/*", "a2a:skill/right/*", "a2a:skill/deep/*", "mcp:tool/search{calls<=20}"],
    ),
    ("left", &["a2a:skill/deep/*", "mcp:tool/search{calls<=5}"]),
    ("right", &[]),
    ("deep", &[]),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_grows_before_your_eyes_and_says_what_was_refused_and_ends() {
    if skipped("a tree grows in the console") {
        return;
    }
    let stage = Stage::start("", &FLEET, None).await;
    let browser = Browser::start();
    let page = browser.open(&stage.console("")).await;
    page.resize(1440, 900).await;
    page.sees("main", "No trees").await;

    // The coordinator → left → deep, three levels, each once its gate is open; right holds nothing and is refused.
    let deep = json!({ "to": "deep", "script": { "gate": stage.wait("end"), "chunks": ["d"] } });
    let over = json!({ "to": "deep", "skill": "work", "script": {} });
    let script = json!({ "gate": stage.wait("begin"), "chunks": ["all"], "delegate": [
        { "to": "left", "script": { "gate": stage.wait("left"), "delegate": [deep], "chunks": ["l"] } },
        { "to": "right", "script": { "delegate": [over], "chunks": ["r"] } },
    ] });
    let root = stage.send("coordinator", &script, None).await;
    page.click(".trees a", "gate").await;
    page.sees("h1", "coordinator").await;
    page.until("one task", "document.querySelectorAll('[role=treeitem]').length === 1").await;

    stage.open("begin").await;
    page.until("three tasks", "document.querySelectorAll('[role=treeitem]').length === 3").await;
    page.sees(".refusal", "right").await;
    page.sees(".refusal .missing", "a2a:skill/deep/work").await;
    stage.open("left").await;
    page.until(
        "three levels",
        "document.querySelector('[role=treeitem][aria-level=\"3\"]')?.textContent.includes('deep, working')",
    )
    .await;
    page.until("four boxes", "document.querySelectorAll('svg .box').length === 4").await;
    page.sees("#tree-count", "4 tasks, 3 open").await;
    picture(&page, "tree-laptop-light").await;

    page.click(".row", "left").await;
    page.sees(".details h2", "left").await;
    page.sees(".details .hops", "mcp:tool/search{calls<=5}").await;
    page.sees(".details .hops li.here details", "mcp:tool/search{calls<=20}").await;
    stage.open("end").await;
    page.sees(".meta .chip", "Completed").await;
    page.sees("#tree-count", "4 tasks, 0 open").await;
    page.sees(".log", "ended completed").await;
    page.until(
        "said to whoever listens",
        "document.getElementById('announcer').textContent.includes('0 open')",
    )
    .await;
    page.click(".row", "coordinator").await;
    page.sees(".details .artifact", "all").await;
    assert_eq!(page.eval("location.hash").await, json!(format!("#/tree/{root}/{root}")));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_given_on_the_page_with_a_key_that_is_kept_nowhere_else() {
    if skipped("an approval in the console") {
        return;
    }
    let fleet: [(&str, &[&str]); 3] =
        [("boss", &["a2a:skill/**"]), ("middle", &["a2a:skill/nobody/*"]), ("expert", &[])];
    let stage = Stage::start(&principals(), &fleet, Some("root")).await;
    let browser = Browser::start();
    let page = browser.open(&stage.console("")).await;
    page.resize(1280, 800).await;
    page.sees("h1", "Sign in").await;
    page.write("wrong").await;
    page.press("Enter").await;
    page.sees(".sign-in .problem", "not known").await;
    page.eval("document.activeElement.value = ''").await;
    page.write("alice").await;
    page.click(".sign-in button", "Sign in").await;
    page.sees(".who", "alice").await;
    assert_eq!(
        page.eval("[localStorage.length, document.cookie, sessionStorage.length]").await,
        json!([0, "", 1])
    );

    let order = json!({ "to": "expert", "escalate": true, "script": { "chunks": ["expertise"] } });
    let script = json!({ "delegate": [{ "to": "middle", "script": { "delegate": [order] } }] });
    stage.send("boss", &script, Some("alice")).await;
    page.sees(".badge", "1").await;
    page.click("#nav a", "Approvals").await;
    page.sees(".approval", "a2a:skill/expert/*").await;
    picture(&page, "approvals-laptop-light").await;
    assert_eq!(page.accessibility_violations().await, Vec::<String>::new());
    assert!(stage.agents["expert"].log().is_empty(), "nothing was sent before somebody said yes");
    page.click(".approval button", "Approve").await;
    page.sees("main", "Nothing waits for you").await;
    page.click("#nav a", "Trees").await;
    page.sees(".trees .chip", "Completed").await;
    page.click(".trees a", "delegate").await;
    page.sees(".log", "alice granted what was missing").await;
    assert_eq!(stage.agents["expert"].logged("received").len(), 1);

    // The refusals of somebody else's trees are not shown, nor the trees.
    page.click(".button", "Sign out").await;
    page.sees("h1", "Sign in").await;
    page.write("bob").await;
    page.click(".sign-in button", "Sign in").await;
    page.sees(".who", "bob").await;
    page.until("the list is read", "!document.querySelector('main').textContent.includes('Loading')").await;
    assert_eq!(page.eval("document.querySelectorAll('.trees a').length").await, json!(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_on_the_page_takes_the_whole_subtree_down() {
    if skipped("cancelling in the console") {
        return;
    }
    let stage = Stage::start("", &FLEET, None).await;
    let deep = json!({ "to": "deep", "script": { "gate": stage.wait("never") } });
    let script = json!({ "delegate": [{ "to": "left", "script": { "delegate": [deep] } }] });
    let root = stage.send("coordinator", &script, None).await;
    let browser = Browser::start();
    let page = browser.open(&stage.console(&format!("#/tree/{root}"))).await;
    page.resize(1280, 800).await;
    page.until(
        "three levels at work",
        "document.querySelector('[role=treeitem][aria-level=\"3\"]')?.textContent.includes('working')",
    )
    .await;
    page.click(".button", "Cancel the tree").await;
    page.sees("dialog", "every task below it").await;
    page.click("dialog .button", "Keep it").await;
    page.until("nothing was done", "!document.querySelector('dialog')").await;
    page.click(".button", "Cancel the tree").await;
    page.click("dialog .button", "Cancel it").await;
    page.until("all three are cancelled", "[...document.querySelectorAll('[role=treeitem]')].filter((row) => row.textContent.includes('canceled')).length === 3").await;
    page.until("there is nothing left to cancel", "![...document.querySelectorAll('.button')].some((one) => one.textContent.includes('Cancel the tree'))").await;
    assert_eq!(stage.agents["deep"].logged("cancel").len(), 1, "the one at work was told");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_survives_a_broker_that_dies_and_shows_what_happened_since() {
    if skipped("a broker that dies behind the console") {
        return;
    }
    let mut stage = Stage::start("", &FLEET, None).await;
    let script =
        json!({ "delegate": [{ "to": "left", "script": { "gate": stage.wait("go"), "chunks": ["done"] } }] });
    let root = stage.send("coordinator", &script, None).await;
    let browser = Browser::start();
    let page = browser.open(&stage.console(&format!("#/tree/{root}"))).await;
    page.until("two tasks", "document.querySelectorAll('[role=treeitem]').length === 2").await;
    page.sees("#connection", "Live").await;
    stage.broker.end();
    page.sees("#connection", "Reconnecting").await;
    page.until("it is said", "document.getElementById('announcer').textContent.includes('lost')").await;
    page.until("what was known stays", "document.querySelectorAll('[role=treeitem]').length === 2").await;
    stage.broker.restart();
    page.sees("#connection", "Live").await;
    stage.open("go").await;
    page.sees(".meta .chip", "Completed").await;
    page.sees(".log", "taken up again after the broker was away").await;

    // The list as well, and without a reload.
    page.eval("location.hash = '#/trees'").await;
    page.sees(".trees .chip", "Completed").await;
    let again = wire::get(&format!("{}/api/v1/trees", stage.broker.url())).await.json();
    assert_eq!(again["trees"][0]["tasks"], json!({ "TASK_STATE_COMPLETED": 2 }), "{again}");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
