//! What every store promises. Each engine runs all of it.

use std::sync::Arc;

use broker::ports::store::{Append, Claim, RowCursor, RowQuery, Store, StoreError, TaskRow};
use broker::store::embedded::{EmbeddedStore, Options};
use broker_core::{TaskId, Timestamp};
use bytes::Bytes;
use proptest::prelude::*;
use protocol::TaskState;
use tempfile::TempDir;
use uuid::Uuid;

use super::engines::places;
use super::store_audit::entry;

pub(crate) fn id(number: u128) -> TaskId {
    TaskId(Uuid::from_u128(number))
}

pub(crate) fn append(root: u128, expected: u64, records: &[&str]) -> Append {
    Append {
        root: id(root),
        expected,
        at: Timestamp::default(),
        records: records.iter().map(|record| Bytes::from((*record).to_owned())).collect(),
        claim: None,
        rows: Vec::new(),
        open: true,
        audit: Vec::new(),
        outbox: Vec::new(),
    }
}

fn row(task: u128, owner: &str, agent: &str, state: TaskState, updated: i64) -> TaskRow {
    TaskRow {
        task: id(task),
        root: id(task),
        owner: owner.to_owned(),
        agent: agent.to_owned(),
        context_id: format!("c{}", task % 3),
        state,
        updated: Timestamp::from_millis(updated),
    }
}

fn claim(message_id: &str, task: u128) -> Claim {
    let (principal, message_id) = ("p/alice".to_owned(), message_id.to_owned());
    Claim { principal, message_id, digest: [1; 32], task: id(task), root: id(task) }
}

#[tokio::test]
async fn records_come_back_in_order_and_a_stale_writer_is_refused() {
    for place in places().await {
        let store = place.open().await;
        store.append(append(1, 0, &["a", "b"])).await.unwrap();
        store.append(append(1, 2, &["c"])).await.unwrap();
        assert!(matches!(
            store.append(append(1, 2, &["d"])).await,
            Err(StoreError::Stale { expected: 2, found: 3 })
        ));
        assert!(matches!(
            store.append(append(2, 1, &["d"])).await,
            Err(StoreError::Stale { expected: 1, found: 0 })
        ));
        assert_eq!(store.read(id(1), 0).await.unwrap(), ["a", "b", "c"]);
        assert_eq!(store.read(id(1), 2).await.unwrap(), ["c"]);
        assert!(store.read(id(2), 0).await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_claims_on_one_message_id_exactly_one_wins_and_the_losers_write_nothing() {
    for place in places().await {
        let store = place.open().await;
        let mut racers = tokio::task::JoinSet::new();
        for number in 1..=100 {
            let store = std::sync::Arc::clone(&store);
            racers.spawn(async move {
                let change = Append { claim: Some(claim("m", number)), ..append(number, 0, &["x"]) };
                (number, store.append(change).await)
            });
        }
        let results = racers.join_all().await;
        let winners: Vec<u128> =
            results.iter().filter(|(_, result)| result.is_ok()).map(|(number, _)| *number).collect();
        let [winner] = winners.as_slice() else { panic!("{winners:?}") };
        assert_eq!(store.claim("p/alice", "m").await.unwrap(), Some(claim("m", *winner)));
        for (number, result) in &results {
            if number != winner {
                assert!(matches!(result, Err(StoreError::Claimed(held)) if **held == claim("m", *winner)));
                assert!(
                    store.read(id(*number), 0).await.unwrap().is_empty(),
                    "a refused append leaves no trace"
                );
            }
        }
        assert_eq!(store.claim("p/alic", "em").await.unwrap(), None);
    }
}

#[tokio::test]
async fn everything_is_there_after_reopening() {
    for place in places().await {
        {
            let store = place.open().await;
            let rows = vec![row(1, "alice", "a", TaskState::Working, 5)];
            store.append(Append { rows, claim: Some(claim("m", 1)), ..append(1, 0, &["x"]) }).await.unwrap();
            store.append(append(2, 0, &["y"])).await.unwrap();
            store.append(Append { open: false, ..append(2, 1, &["z"]) }).await.unwrap();
            store.put_document("keys", Bytes::from("old"), None).await.unwrap();
            store.put_document("keys", Bytes::from("new"), None).await.unwrap();
            store.put_agent("b", Bytes::from("doc"), None).await.unwrap();
            store.put_agent("a", Bytes::from("old"), None).await.unwrap();
            store.put_agent("a", Bytes::from("new"), None).await.unwrap();
            assert!(store.remove_agent("b", entry("b")).await.unwrap());
            assert!(!store.remove_agent("b", entry("b")).await.unwrap());
        }
        let store = place.open().await;
        assert_eq!(store.read(id(1), 0).await.unwrap(), ["x"]);
        assert_eq!(store.locate(id(1)).await.unwrap(), Some(id(1)));
        assert_eq!(store.locate(id(9)).await.unwrap(), None);
        assert_eq!(store.claim("p/alice", "m").await.unwrap(), Some(claim("m", 1)));
        assert_eq!(store.open_trees(None, 10).await.unwrap(), [id(1)], "finished trees are not resumed");
        assert_eq!(store.open_trees(Some(id(1)), 10).await.unwrap(), []);
        assert_eq!(store.agents().await.unwrap(), [("a".to_owned(), Bytes::from("new"))]);
        assert_eq!(store.document("keys").await.unwrap(), Some(Bytes::from("new")));
        assert_eq!(store.document("other").await.unwrap(), None);
        assert_eq!(store.rows(RowQuery { limit: 5, ..RowQuery::default() }).await.unwrap().total, 1);
    }
}

#[tokio::test]
async fn a_folder_is_for_one_process() {
    let folder = TempDir::new().unwrap();
    let _first = EmbeddedStore::open(folder.path(), Options::default()).unwrap();
    let second = EmbeddedStore::open(folder.path(), Options::default());
    assert!(matches!(second, Err(StoreError::Engine(problem)) if problem.contains("in use")));
}

#[tokio::test]
async fn a_full_queue_is_overload_not_loss() {
    for place in places().await {
        let store = place.open_with(Options { queue: 1, batch: 1, fsync: true }).await;
        let all =
            futures_util::future::join_all((1..200).map(|root| store.append(append(root, 0, &["x"])))).await;
        for (root, result) in (1..).zip(&all) {
            let stored = store.read(id(root), 0).await.unwrap().len();
            match result {
                Ok(()) => assert_eq!(stored, 1),
                Err(StoreError::Overloaded { .. }) => assert_eq!(stored, 0),
                Err(other) => panic!("{other}"),
            }
        }
        assert!(all.iter().any(Result::is_ok) && all.iter().any(Result::is_err));
    }
}

#[derive(Debug, Clone)]
struct Change {
    task: u128,
    state: TaskState,
    updated: i64,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let state = prop_oneof![Just(TaskState::Working), Just(TaskState::Completed), Just(TaskState::Failed)];
    let change =
        (1_u128..9, state, 0_i64..20).prop_map(|(task, state, updated)| Change { task, state, updated });
    prop::collection::vec(change, 0..30)
}

fn query() -> impl Strategy<Value = RowQuery> {
    (
        prop::option::of(prop_oneof![Just("alice"), Just("bob")]),
        prop::option::of(prop_oneof![Just("a"), Just("b"), Just("zz")]),
        prop::option::of(0..3),
        prop::option::of(prop_oneof![Just(TaskState::Working), Just(TaskState::Completed)]),
        prop::option::of(0_i64..20),
        1_usize..5,
    )
        .prop_map(|(owner, agent, context, state, after, limit)| RowQuery {
            owner: owner.map(ToOwned::to_owned),
            agent: agent.map(ToOwned::to_owned),
            context_id: context.map(|number| format!("c{number}")),
            state,
            updated_after: after.map(Timestamp::from_millis),
            after: None,
            limit,
        })
}

/// The reference: a list, filtered and sorted.
fn expected(rows: &[TaskRow], query: &RowQuery) -> Vec<TaskRow> {
    let is = |wanted: &Option<String>, found: &String| wanted.as_ref().is_none_or(|wanted| wanted == found);
    let mut rows: Vec<TaskRow> = rows
        .iter()
        .filter(|row| {
            is(&query.owner, &row.owner)
                && is(&query.agent, &row.agent)
                && is(&query.context_id, &row.context_id)
        })
        .filter(|row| query.state.is_none_or(|state| state == row.state))
        .filter(|row| query.updated_after.is_none_or(|after| row.updated >= after))
        .cloned()
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse(RowCursor { updated: row.updated, task: row.task }));
    rows
}

async fn all_pages(store: &Arc<dyn Store>, query: &RowQuery) -> (Vec<TaskRow>, u64) {
    let (mut rows, mut query) = (Vec::new(), query.clone());
    loop {
        let page = store.rows(query.clone()).await.unwrap();
        assert!(page.rows.len() <= query.limit);
        rows.extend(page.rows);
        match page.next {
            Some(next) => query.after = Some(next),
            None => return (rows, page.total),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn pages_hold_what_a_filtered_sorted_list_holds(changes in changes(), queries in prop::collection::vec(query(), 1..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { for place in places().await {
            let mut rows: Vec<TaskRow> = Vec::new();
            let mut heads = std::collections::BTreeMap::new();
            let mut store = place.open().await;
            for change in &changes {
                let (owner, agent) = (["alice", "bob"][(change.task % 2) as usize], ["a", "b"][(change.task / 2 % 2) as usize]);
                let row = row(change.task, owner, agent, change.state, change.updated);
                let head = heads.entry(change.task).or_insert(0);
                store.append(Append { rows: vec![row.clone()], ..append(change.task, *head, &["x"]) }).await.unwrap();
                *head += 1;
                rows.retain(|known| known.task != row.task);
                rows.push(row);
            }
            for reopened in [false, true] {
                if reopened {
                    drop(store);
                    store = place.open().await;
                }
                for query in &queries {
                    let expected = expected(&rows, query);
                    let (found, total) = all_pages(&store, query).await;
                    assert_eq!(found, expected, "{query:?}");
                    assert_eq!(total, expected.len() as u64, "{query:?}");
                }
            }
        }});
    }
}
