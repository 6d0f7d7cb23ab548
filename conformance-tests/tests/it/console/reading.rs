//! Everybody can read the console, in light and in dark, on a laptop and on a phone; and what agents and callers say is
//! text in it, whatever it looks like.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use conformance_tests::{Browser, until, wire};
use serde_json::{Value, json};

use super::{Stage, picture, skipped};

const MARKUP: &str =
    "<img src=x onerror=\"document.title='broken in'\"><script>document.title='broken in'</script>";
/// One pixel, as PNG.
const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// A tree with everything in it that a page can show: results of several kinds, a refusal, a failure, a budget, checks.
async fn story(stage: &Stage) -> String {
    let over = json!({ "to": "deep", "skill": "work", "script": {} });
    let script = json!({ "chunks": [MARKUP], "echo": true, "delegate": [
        { "to": "left", "budget": { "usd": "2.00", "calls": 10 },
          "script": { "chunks": ["{\"total\": 3, \"of\": [1, 2]}"], "cost": { "usd": "0.60", "calls": 4 } } },
        { "to": "right", "script": { "delegate": [over], "chunks": ["r"] } },
        { "to": "right", "script": { "end": "failed" } },
        { "to": "deep", "script": { "gate": stage.wait("never") } },
    ] });
    let parts = json!([
        { "data": { "html": MARKUP } },
        { "raw": PIXEL, "mediaType": "image/png", "filename": "pixel.png" },
        { "raw": STANDARD.encode("<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"parent.document.title='broken in'\"/>"),
          "mediaType": "image/svg+xml", "filename": "drawing.svg" },
        { "raw": STANDARD.encode(MARKUP), "mediaType": "text/html", "filename": "page.html" },
        { "url": "javascript:document.title='broken in'", "mediaType": "text/html" },
    ]);
    stage.send_with("coordinator", &script, &parts, None).await
}

const FLEET: [(&str, &[&str]); 4] = [
    (
        "coordinator",
        &["a2a:skill/left/*", "a2a:skill/right/*", "a2a:skill/deep/*", "mcp:tool/search{calls<=20}"],
    ),
    ("left", &["mcp:tool/search{calls<=5}"]),
    ("right", &[]),
    ("deep", &[]),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_accessible_in_light_and_dark_on_a_laptop_and_a_phone() {
    if skipped("accessibility of the console") {
        return;
    }
    let quotas = "[[quotas]]\nof = \"agent:right\"\nopen_tasks = 20\nbytes_per_day = \"4KiB\"\n\
                  [[quotas]]\nof = \"principal:*\"\nmessages_per_minute = 600\n";
    let stage = Stage::start(quotas, &FLEET, None).await;
    let root = story(&stage).await;
    until("deep is at work", async || !stage.agents["deep"].log().is_empty()).await;
    let browser = Browser::start();
    let page = browser.open(&stage.console("")).await;
    let tree = format!("#/tree/{root}");
    let mut violations = Vec::new();
    for scheme in ["light", "dark"] {
        page.prefer(scheme).await;
        for (device, width, height) in [("laptop", 1440, 900), ("phone", 390, 844)] {
            page.resize(width, height).await;
            for (place, shows) in [
                (tree.as_str(), "coordinator"),
                ("#/trees", "Trees"),
                ("#/agents", "Agents"),
                ("#/refusals", "Refusals"),
                ("#/quotas", "Quotas"),
                ("#/approvals", "Approvals"),
            ] {
                page.eval(&format!("location.hash = {}", json!(place))).await;
                page.sees("h1", shows).await;
                if place == tree {
                    page.until("five tasks", "document.querySelectorAll('[role=treeitem]').length === 5")
                        .await;
                    page.sees(".refusal", "lacks a capability").await;
                    page.sees(".log", "submitted").await;
                    page.click(".row", "left").await;
                    page.sees(".details .budget-line", "$0.60 of $2.00 used").await;
                } else if place == "#/trees" {
                    page.sees("main", "coordinator").await;
                } else if place == "#/quotas" {
                    page.sees("main", "Open tasks: 0 of 20").await;
                    page.sees("main", "Messages a minute").await;
                } else if place != "#/approvals" {
                    page.sees("main", "right").await;
                }
                let name = format!("{}-{device}-{scheme}", shows.to_lowercase());
                page.eval("window.scrollTo(0, 0)").await;
                picture(&page, &name).await;
                let sideways = page
                    .eval("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                    .await;
                assert_eq!(sideways, json!(0), "{name} is wider than the page");
                let here = page.accessibility_violations().await;
                violations.extend(here.iter().map(|one| format!("{name}: {one}")));
            }
        }
    }
    assert_eq!(violations, Vec::<String>::new());
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_agents_and_callers_say_is_text_and_pictures_come_from_their_own_bytes() {
    if skipped("markup of others in the console") {
        return;
    }
    let stage = Stage::start("", &FLEET, None).await;
    let root = story(&stage).await;
    stage.open("never").await;
    let browser = Browser::start();
    let page = browser.open(&stage.console(&format!("#/tree/{root}"))).await;
    page.resize(1280, 900).await;
    page.sees(".meta .chip", "Completed").await;
    page.sees(".details .said", MARKUP).await;
    page.until(
        "the picture is there",
        "[...document.querySelectorAll('.picture')].some((one) => one.naturalWidth === 1)",
    )
    .await;
    page.until(
        "what is no picture is named",
        "[...document.querySelectorAll('.file')].some((one) => one.textContent.includes('page.html'))",
    )
    .await;
    page.sees(".details .file", "javascript:document.title").await;
    page.click(".row", "left").await;
    page.sees(".details .said.code", "\"total\": 3").await;
    let found = page
        .eval("[document.title.includes('broken in'), document.querySelectorAll('main script, main iframe, main [onerror], a[href^=javascript]').length]")
        .await;
    assert_eq!(found, json!([false, 0]));
    assert_eq!(browser.complaints(), Vec::<String>::new(), "and the policy had nothing to forbid");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_is_served_with_a_strict_policy_and_sent_again_only_when_it_has_changed() {
    let broker = conformance_tests::Broker::start("");
    let page = wire::get(&format!("{}/console", broker.url())).await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").expect("a policy").to_owned();
    for rule in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
    ] {
        assert!(policy.contains(rule), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    let names = page.text.split('"').filter_map(|text| text.strip_prefix("console/"));
    for name in names {
        let url = format!("{}/console/{name}", broker.url());
        let file = wire::get(&url).await;
        let (status, tag) = (file.status, file.header("etag").unwrap_or_default().to_owned());
        assert!(status == 200 && tag.starts_with('"'), "{name}: {status} {tag}");
        let again = wire::request("GET", &url, &[("if-none-match", &tag)], Vec::new()).await;
        assert_eq!((again.status, again.text.as_str()), (304, ""), "{name}");
        assert_eq!(wire::request("POST", &url, &[], Vec::new()).await.status, 405, "{name}");
    }
    assert_eq!(wire::get(&format!("{}/console/nothing.js", broker.url())).await.status, 404);
    let without = conformance_tests::Broker::start("[console]\nenabled = false\n");
    let answer = wire::get(&format!("{}/console", without.url())).await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json()["error"]["code"], Value::from(404));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_may_do_nothing() {
    let stage = Stage::start("", &FLEET, None).await;
    let root = stage.send("deep", &json!({ "gate": stage.wait("never") }), None).await;
    until("deep is at work", async || !stage.agents["deep"].log().is_empty()).await;
    let cancel = format!("{}/tasks/{root}:cancel", stage.broker.url());
    let rpc =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "CancelTask", "params": { "id": root } }).to_string();
    for site in ["cross-site", "same-site"] {
        let headers =
            [("sec-fetch-site", site), ("a2a-version", "1.0"), ("content-type", "application/json")];
        let refused = wire::request("POST", &cancel, &headers, b"{}".to_vec()).await;
        assert_eq!(refused.status, 403, "{site}: {}", refused.text);
        let refused = wire::request("POST", &stage.broker.url(), &headers, rpc.clone().into_bytes()).await;
        assert!(refused.json()["error"]["code"].is_number(), "{site}: {}", refused.text);
        let read =
            wire::request("GET", &format!("{}/api/v1/trees", stage.broker.url()), &headers, Vec::new()).await;
        assert_eq!((read.status, read.header("access-control-allow-origin")), (200, None), "{site}");
    }
    let task = stage.broker.rpc("", "GetTask", json!({ "id": root })).await;
    assert_ne!(task["result"]["status"]["state"], "TASK_STATE_CANCELED", "{task}");
    let own =
        [("sec-fetch-site", "same-origin"), ("a2a-version", "1.0"), ("content-type", "application/json")];
    assert_eq!(wire::request("POST", &cancel, &own, b"{}".to_vec()).await.status, 200);
}
