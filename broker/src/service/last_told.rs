//! What readers of a tree were told of a task last. Whoever polls is told the same again until something has happened in
//! the tree: to say it anew each time is a quarter of the broker's own part of a poll.

use std::sync::{Mutex, PoisonError};

use broker_core::TaskId;
use bytes::Bytes;
use protocol::A2aError;

use super::error;
use super::trees::TreeCell;

/// Longest text that is kept, in bytes: what a tree takes should not depend much on who looks at it.
const KEPT_BYTES: usize = 4 << 10;

/// The last text about one of a tree's tasks.
#[derive(Default)]
pub(super) struct LastTold(Mutex<Option<Box<Kept>>>);

struct Kept {
    asked: Asked,
    json: Bytes,
}

/// What a text is about; while it is the same, so is the text.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Asked {
    task: TaskId,
    history_length: Option<usize>,
    /// The tree's.
    version: u64,
}

impl TreeCell {
    /// A task as it is shown, as JSON, with at most so many of its latest messages (all if `None`; spec §3.2.4).
    pub(super) async fn shown(&self, task: TaskId, history_length: Option<usize>) -> Result<Bytes, A2aError> {
        let tree = self.tree.lock().await;
        let asked = Asked { task, history_length, version: tree.version() };
        if let Some(json) = self.last_told.about(asked) {
            return Ok(json);
        }
        let shown = tree.task(task, history_length).ok_or_else(error::task_not_found)?;
        // A large task takes its time to write.
        drop(tree);
        let json = Bytes::from(protocol::to_json(&shown).map_err(|_| error::internal())?);
        self.last_told.keep(asked, &json);
        Ok(json)
    }
}

impl LastTold {
    fn about(&self, asked: Asked) -> Option<Bytes> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|kept| kept.asked == asked).map(|kept| kept.json.clone())
    }

    /// Keeps a text that is short enough, and of its memory no more than it needs.
    fn keep(&self, asked: Asked, json: &Bytes) {
        if json.len() <= KEPT_BYTES {
            let kept = Box::new(Kept { asked, json: Bytes::copy_from_slice(json) });
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use broker_core::Tree;
    use broker_core::delegation::input::Input;

    use super::super::sample::{Sample, tree};
    use super::*;

    type Question = (TaskId, Option<usize>);

    /// A tree in which much has happened, what can be asked of it, and which of that has a long answer.
    fn sample() -> (Sample, Vec<Question>, impl Fn(Question) -> bool) {
        let mut sample = tree(["do it", &"x".repeat(KEPT_BYTES)]);
        let [root, child] = sample.tasks;
        sample.decide(Input::Cancel { task: root, by: "alice".to_owned() });
        let questions = sample.tasks.map(|task| [None, Some(0), Some(1)].map(|most| (task, most)));
        (sample, questions.concat(), move |(task, most)| task == child && most != Some(0))
    }

    /// Asks, and compares with how the task stands.
    async fn ask(cell: &TreeCell, (task, most): Question) -> Option<Bytes> {
        let stands = cell.tree.lock().await.task(task, most);
        let stands = stands.map(|task| Bytes::from(protocol::to_json(&task).unwrap()));
        let told = cell.shown(task, most).await.ok();
        assert_eq!(told, stands, "{task} {most:?}");
        told
    }

    #[tokio::test]
    async fn who_asks_again_and_again_is_told_what_has_happened() {
        let (sample, questions, is_long) = sample();
        for question in questions {
            let cell = TreeCell::new(Tree::new(sample.tree.root()));
            for record in &sample.records {
                cell.tree.lock().await.apply(record).unwrap();
                ask(&cell, question).await;
                let [one, other] = [ask(&cell, question).await, ask(&cell, question).await];
                let (Some(one), Some(other)) = (one, other) else { continue };
                assert_eq!(one.as_ptr() == other.as_ptr(), !is_long(question), "what is short is kept");
            }
        }
    }

    #[tokio::test]
    async fn nobody_is_told_what_another_asked() {
        let (sample, questions, _) = sample();
        let cell = TreeCell::new(sample.tree);
        for one in &questions {
            for other in &questions {
                ask(&cell, *one).await.expect("it is there");
                ask(&cell, *other).await.expect("it is there");
            }
        }
    }
}
