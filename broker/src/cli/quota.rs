//! `bailiwick quota`: who may use how much, and how much of it is gone.

use http::Method;
use serde_json::Value;

use super::commands::Session;

pub(super) async fn execute(session: &Session) -> Result<(), String> {
    let quotas = session.broker.api(Method::GET, "/api/v1/quotas", None).await?;
    session.show(&quotas, || table(&quotas))
}

fn table(quotas: &Value) -> String {
    let quotas = quotas.get("quotas").and_then(Value::as_array).cloned().unwrap_or_default();
    if quotas.is_empty() {
        return "nothing was used yet; quotas are set in the configuration, under [[quotas]]".to_owned();
    }
    quotas.iter().map(block).collect::<Vec<_>>().join("\n")
}

fn block(quota: &Value) -> String {
    let text = |name: &str| quota.get(name).and_then(Value::as_str).unwrap_or_default();
    let refused = quota.get("refused").and_then(Value::as_u64).unwrap_or(0);
    let refused = if refused == 0 { String::new() } else { format!("  refused {refused} times") };
    let bounds = quota.get("bounds").and_then(Value::as_object).into_iter().flatten();
    let lines = bounds.map(|(bound, view)| {
        let number = |name: &str| view.get(name).and_then(Value::as_u64);
        let amount = |value: u64| {
            if bound == "usd_per_day" { capability::money(value) } else { value.to_string() }
        };
        let used = amount(number("used").unwrap_or(0));
        let held = number("held").map(|held| format!(" and {} held", amount(held))).unwrap_or_default();
        let limit = number("limit").map(|limit| format!(" of {}", amount(limit))).unwrap_or_default();
        format!("\n  {bound}: {used}{held}{limit}")
    });
    format!("{} {}{refused}{}", text("kind"), text("name"), lines.collect::<String>())
}
