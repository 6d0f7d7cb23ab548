//! Dead letters: receivers that took nothing for so long that they were given up. What they did not get stands in the
//! journal still, so that an operator can have it sent after all.

use std::sync::Arc;

use broker_core::{TaskId, Timestamp};
use protocol::{A2aError, ErrorKind};
use schemars::JsonSchema;
use serde::Serialize;
use url::Url;

use crate::ports::store::{OutboxKey, OutboxRow};
use crate::service::{Broker, Caller, error};

/// Rows read at a time.
const PAGE: usize = 256;
/// Most dead letters shown at once.
const MAX_SHOWN: usize = 1_000;

/// A receiver that was given up.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DeadLetter {
    /// The task whose events it should have had.
    pub task: TaskId,
    /// The id of the configuration.
    pub config: String,
    /// Where they were sent, without query.
    pub url: String,
    /// Since when it took nothing.
    pub since: Timestamp,
    /// When it was given up.
    pub dead: Timestamp,
    /// What happened last.
    pub reason: String,
}

impl Broker {
    /// Receivers that were given up. For operators.
    pub async fn dead_letters(&self, caller: &Caller) -> Result<Vec<DeadLetter>, A2aError> {
        self.require_operator(caller, "see dead letters")?;
        let (mut letters, mut after) = (Vec::new(), None);
        loop {
            let page = self.store.outbox(after, PAGE).await.map_err(|failure| error::store(&failure))?;
            let Some(last) = page.last().map(|row| row.key.clone()) else { return Ok(letters) };
            for row in page {
                letters.extend(self.dead_letter(row).await?);
                if letters.len() == MAX_SHOWN {
                    return Ok(letters);
                }
            }
            after = Some(last);
        }
    }

    async fn dead_letter(&self, row: OutboxRow) -> Result<Option<DeadLetter>, A2aError> {
        let OutboxRow { key: OutboxKey { task, config }, root, trouble, .. } = row;
        let Some((trouble, dead)) = trouble.and_then(|trouble| trouble.dead.map(|dead| (trouble, dead)))
        else {
            return Ok(None);
        };
        let Some(cell) = self.trees.look_at(root).await? else { return Ok(None) };
        let tree = cell.tree.lock().await;
        let url = tree.push(task, &config).map(|push| without_query(&push.config.url)).unwrap_or_default();
        Ok(Some(DeadLetter { task, config, url, since: trouble.since, dead, reason: trouble.reason }))
    }

    /// Takes a receiver up again that was given up: what it did not get is sent. For operators.
    pub async fn retry_dead_letter(
        self: &Arc<Self>,
        caller: &Caller,
        task: &str,
        config: &str,
    ) -> Result<(), A2aError> {
        self.require_operator(caller, "retry dead letters")?;
        let absent =
            || A2aError::new(ErrorKind::NotFound, "there is no such dead letter; see `bailiwick push list`");
        let task: TaskId = task.parse().map_err(|_| absent())?;
        // What is pushed of a tree that another broker drives is for that one to push.
        self.trees.find(task).await?.ok_or_else(absent)?;
        let key = OutboxKey { task, config: config.to_owned() };
        let lane = self.outbox.lanes.get(&key).filter(super::lanes::Lane::is_dead).ok_or_else(absent)?;
        let row = OutboxRow { trouble: None, ..lane.row };
        if !self.store.move_outbox(row.clone()).await.map_err(|failure| error::store(&failure))? {
            return Err(absent());
        }
        self.outbox.lanes.change(&key, row.set, |lane| lane.row.trouble = None);
        self.wake_push(key);
        Ok(())
    }
}

/// A query may hold a secret.
fn without_query(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return String::new() };
    url.set_query(None);
    url.to_string()
}
