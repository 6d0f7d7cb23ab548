//! What it costs to say how a task stands.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{CPU, PER_SECOND, cost, echo, saturate};
use crate::contenders::{Contender, Kind, Setting};
use crate::load::Request;
use crate::outcome::{Goal, Outcome, Picture};
use crate::rounds::Floor;
use crate::stage::Stage;

const BROKER: Kind = Kind::Broker { fsync: true };
const KINDS: [Kind; 5] = [Kind::Echo, BROKER, Kind::RustSdk, Kind::NodeSdk, Kind::PythonSdk];

pub async fn run(stage: &Stage) -> Result<Outcome> {
    let setting = Setting { tasks: true, ..Setting::default() };
    let agent = echo(stage, setting)?;
    let lineup = stage.lineup(&KINDS, Setting { agent: Some(agent.address()), ..setting })?;
    let mut tasks = Vec::new();
    for contender in &lineup {
        tasks.push((contender.address(), make_task(contender).await?));
    }
    let floor = Floor { name: Kind::Echo.name(), figure: PER_SECOND };
    let rounds = stage
        .rounds(&lineup, floor, async |contender| {
            let task = tasks.iter().find(|(address, _)| *address == contender.address());
            let (_, task) = task.context("its task")?;
            let request = Request::get_task(contender.address(), &contender.path, task);
            Ok(cost(&saturate(stage, contender, &agent, &request).await?))
        })
        .await?;
    let mut outcome = stage.outcome("get-task", rounds)?.judge(
        CPU,
        BROKER.name(),
        Kind::Echo.name(),
        Some(Goal::AtMost(1.5)),
    );
    for sdk in [Kind::RustSdk, Kind::NodeSdk, Kind::PythonSdk] {
        outcome = outcome.judge(CPU, BROKER.name(), sdk.name(), None);
    }
    Ok(outcome
        .note("Nothing happens to the task meanwhile, so the broker tells again what it told last, as it tells whoever polls; up to 4 KiB are kept for that.")
        .picture(Picture::Bars { column: CPU.to_owned(), logarithmic: true }))
}

/// Has a task made and finished; its id.
async fn make_task(contender: &Contender) -> Result<String> {
    let message = json!({ "messageId": "the-task", "role": "ROLE_USER", "parts": [{ "text": "hi" }] });
    let sent: Value = contender.call("SendMessage", &json!({ "message": message })).await?;
    let task = sent["task"]["id"].as_str();
    task.map(str::to_owned).with_context(|| format!("{} answered with no task: {sent}", contender.name))
}
