//! What every store promises of letting go: a tree is removed as a whole or not at all, and never while something of it is
//! still to be done; its message ids are remembered until they are forgotten.

use std::collections::BTreeMap;
use std::sync::Arc;

use broker::ports::store::{
    Append, Claim, OutboxChange, OutboxKey, OutboxRow, Over, Removed, RowCursor, RowQuery, Store, StoreError,
    TaskRow, Trouble,
};
use broker::store::embedded::{EmbeddedStore, Options};
use broker_core::Timestamp;
use proptest::prelude::*;
use protocol::TaskState;
use sha2::Digest;
use tempfile::TempDir;

use super::engines::places;
use super::store_contract::{append, id};

/// Records of a tree that are too many for one batch.
const LONG: usize = 1_000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn row(root: u128, task: u128, updated: i64) -> TaskRow {
    TaskRow {
        task: id(task),
        root: id(root),
        owner: "alice".to_owned(),
        agent: ["a", "b"][usize::from(task != root)].to_owned(),
        context_id: "c".to_owned(),
        state: TaskState::Completed,
        updated: at(updated),
    }
}

fn claim(root: u128) -> Claim {
    let (principal, message_id) = ("p/alice".to_owned(), format!("m{root}"));
    Claim { principal, message_id, digest: [1; 32], task: id(root), root: id(root) }
}

/// A tree of two tasks, over at a time.
fn finished(root: u128, since: i64, records: usize) -> Append {
    Append {
        at: at(since),
        rows: vec![row(root, root, since), row(root, root + 100, since)],
        claim: Some(claim(root)),
        open: false,
        ..append(root, 0, &vec!["x"; records])
    }
}

/// All by which a tree can be found.
async fn traces(store: &Arc<dyn Store>, root: u128) -> Vec<bool> {
    let all = RowQuery { limit: 1_000, ..RowQuery::default() };
    let in_context = RowQuery { context_id: Some("c".to_owned()), ..all.clone() };
    let is_in = |rows: Vec<TaskRow>| rows.iter().any(|row| row.root == id(root));
    let mut traces = vec![
        !store.read(id(root), 0).await.unwrap().is_empty(),
        !store.read_page(id(root), 1, 1).await.unwrap().is_empty(),
        is_in(store.rows(all).await.unwrap().rows),
        is_in(store.rows(in_context).await.unwrap().rows),
        store.over(at(i64::MAX), None, 1_000).await.unwrap().iter().any(|over| over.root == id(root)),
    ];
    for task in [root, root + 100] {
        traces.push(store.locate(id(task)).await.unwrap().is_some());
    }
    traces
}

#[tokio::test]
async fn a_tree_that_is_over_goes_as_a_whole_and_its_message_ids_when_they_are_forgotten() {
    for (place, records) in
        places().await.into_iter().zip([3, LONG]).chain(places().await.into_iter().zip([LONG, 3]))
    {
        let mut store = place.open().await;
        store.append(finished(1, 10, records)).await.unwrap();
        store.append(finished(2, 20, records)).await.unwrap();
        assert!(traces(&store, 1).await.into_iter().all(|trace| trace));
        let removed = store.remove_tree(id(1), at(11)).await.unwrap();
        assert_eq!(removed, Some(Removed { tasks: 2, dead_letters: Vec::new() }));
        assert_eq!(store.remove_tree(id(1), at(11)).await.unwrap(), None, "once");
        for reopened in [false, true] {
            if reopened {
                drop(store);
                store = place.open().await;
            }
            assert!(!traces(&store, 1).await.into_iter().any(|trace| trace), "{records}");
            assert!(traces(&store, 2).await.into_iter().all(|trace| trace), "{records}");
        }
        assert_eq!(store.claim("p/alice", "m1").await.unwrap(), Some(claim(1)));
        assert_eq!(store.forget_claims(at(10), 9).await.unwrap(), 0, "it was last changed then, not before");
        assert_eq!(store.forget_claims(at(99), 9).await.unwrap(), 1, "the other one's tree is there");
        assert_eq!(store.claim("p/alice", "m1").await.unwrap(), None);
        assert_eq!(store.claim("p/alice", "m2").await.unwrap(), Some(claim(2)));
    }
}

#[tokio::test]
async fn what_is_open_or_was_changed_since_or_is_still_to_be_pushed_stays() {
    for place in places().await {
        let store = place.open().await;
        let stays = async |root: u128, before: i64, why: &str| {
            assert_eq!(store.remove_tree(id(root), at(before)).await.unwrap(), None, "{why}");
        };
        stays(9, 99, "there is no such tree").await;
        store.append(Append { open: true, ..finished(1, 10, 1) }).await.unwrap();
        assert_eq!(store.over(at(99), None, 9).await.unwrap(), []);
        stays(1, 99, "it is open").await;
        store.append(Append { at: at(20), open: false, ..append(1, 1, &["end"]) }).await.unwrap();
        stays(1, 20, "it was changed then").await;

        let key = OutboxKey { task: id(101), config: "k".to_owned() };
        let outbox = vec![OutboxChange::Set { key: key.clone(), set: 3, next: 2 }];
        store.append(Append { at: at(30), open: false, outbox, ..append(1, 2, &["pushed"]) }).await.unwrap();
        assert_eq!(store.over(at(99), None, 9).await.unwrap(), [Over { since: at(30), root: id(1) }]);
        stays(1, 99, "its push is on its way").await;
        let trouble = Trouble { since: at(31), reason: "HTTP 500".to_owned(), dead: Some(at(40)) };
        let dead = OutboxRow { key, root: id(1), set: 3, next: 2, trouble: Some(trouble) };
        assert!(store.move_outbox(dead.clone()).await.unwrap());
        stays(1, 40, "it was given up then").await;
        assert!(traces(&store, 1).await.into_iter().all(|trace| trace), "what stays is whole");

        let removed = store.remove_tree(id(1), at(41)).await.unwrap();
        assert_eq!(removed, Some(Removed { tasks: 2, dead_letters: vec![dead] }));
        assert!(store.outbox(None, 9).await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_removal_and_a_change_at_the_same_time_one_comes_first_and_the_other_knows() {
    for place in places().await {
        let store = place.open().await;
        let mut races = tokio::task::JoinSet::new();
        for root in 1..=64 {
            store.append(finished(root, 10, 1)).await.unwrap();
            let store = std::sync::Arc::clone(&store);
            races.spawn(async move {
                let late = Append { at: at(50), open: false, ..append(root, 1, &["late"]) };
                // Both orders are tried; which comes first is the scheduler's to say.
                let (removed, appended) = if root % 2 == 0 {
                    tokio::join!(store.remove_tree(id(root), at(20)), store.append(late))
                } else {
                    let (appended, removed) =
                        tokio::join!(store.append(late), store.remove_tree(id(root), at(20)));
                    (removed, appended)
                };
                (root, removed.unwrap().is_some(), appended)
            });
        }
        let mut firsts = std::collections::BTreeSet::new();
        for (root, removed, appended) in races.join_all().await {
            match appended {
                Ok(()) => assert!(!removed && traces(&store, root).await.into_iter().all(|trace| trace)),
                Err(StoreError::Stale { expected: 1, found: 0 }) => {
                    assert!(removed && !traces(&store, root).await.into_iter().any(|trace| trace));
                }
                Err(other) => panic!("{other}"),
            }
            firsts.insert(removed);
        }
        assert_eq!(firsts.len(), 2, "each came first at times");
    }
}

#[tokio::test]
async fn nothing_is_left_of_a_long_journal_even_if_the_store_was_closed_over_it() {
    let folder = TempDir::new().unwrap();
    let store = EmbeddedStore::open(folder.path(), Options::default()).unwrap();
    store.append(finished(1, 10, LONG)).await.unwrap();
    store.append(finished(2, 10, LONG)).await.unwrap();
    assert!(store.remove_tree(id(1), at(11)).await.unwrap().is_some());
    drop(store);
    let store = EmbeddedStore::open(folder.path(), Options::default()).unwrap();
    // Each write takes a portion along.
    for _ in 0..LONG {
        store.put_document("any", bytes::Bytes::new(), None).await.unwrap();
    }
    drop(store);
    let engine = fjall::Database::builder(folder.path()).open().unwrap();
    let table = |name: &str| engine.keyspace(name, fjall::KeyspaceCreateOptions::default).unwrap();
    assert_eq!(table("journal").len().unwrap(), LONG, "the records of the other one");
    assert!(table("removed").is_empty().unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn pages_and_totals_hold_while_trees_are_removed(
        trees in prop::collection::btree_map(1_u128..40, 0_i64..20, 0..30),
        removals in prop::collection::vec(prop::collection::vec(1_u128..40, 0..6), 0..12),
        limit in 1_usize..5,
        agent in prop::option::of(prop_oneof![Just("a"), Just("b")]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for place in places().await {
            let store = place.open().await;
            let mut left = BTreeMap::new();
            for (&root, &since) in &trees {
                store.append(finished(root, since, 1)).await.unwrap();
                for row in [row(root, root, since), row(root, root + 100, since)] {
                    let is_asked_for = agent.is_none_or(|agent| row.agent == agent);
                    if is_asked_for {
                        left.insert(std::cmp::Reverse(RowCursor { updated: row.updated, task: row.task }), row);
                    }
                }
            }
            let mut removals = removals.iter();
            let mut query = RowQuery { limit, agent: agent.map(ToOwned::to_owned), ..RowQuery::default() };
            loop {
                let page = store.rows(query.clone()).await.unwrap();
                let behind = |at: &RowCursor| query.after.is_none_or(|after| *at < after);
                let expected: Vec<TaskRow> =
                    left.iter().filter(|(at, _)| behind(&at.0)).map(|(_, row)| row.clone()).take(limit).collect();
                assert_eq!(page.rows, expected);
                assert_eq!(page.total, left.len() as u64);
                let Some(next) = page.next else { break };
                query.after = Some(next);
                // Also the very task the next page begins behind.
                for &root in removals.next().into_iter().flatten() {
                    let removed = store.remove_tree(id(root), at(99)).await.unwrap();
                    assert_eq!(removed.is_some(), left.values().any(|row: &TaskRow| row.root == id(root)));
                    left.retain(|_, row| row.root != id(root));
                }
            }
            }
        });
    }
}

/// Bytes of all files below a folder.
fn size(folder: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size(&entry.path()),
            Ok(metadata) => metadata.len(),
            // Gone meanwhile.
            Err(_) => 0,
        })
        .sum()
}

#[tokio::test]
async fn the_disk_gets_back_what_was_removed() {
    const TREES: u128 = 80;
    let folder = TempDir::new().unwrap();
    let store = EmbeddedStore::open(folder.path(), Options { fsync: false, ..Options::default() }).unwrap();
    // Not to be compressed.
    let noise = |number: u128| {
        let digest = |part: u128| sha2::Sha256::digest((number << 64 | part).to_be_bytes());
        (0..32).map(|part| format!("{:x}", digest(part))).collect::<Vec<_>>().concat()
    };
    for root in 1..=TREES {
        let records: Vec<String> = (0..200).map(|record| noise(root * 1_000 + record)).collect();
        let records: Vec<&str> = records.iter().map(String::as_str).collect();
        let root = root << 64;
        let rows = vec![TaskRow { task: id(root), root: id(root), ..row(1, 1, 5) }];
        store.append(Append { at: at(10), open: false, rows, ..append(root, 0, &records) }).await.unwrap();
    }
    let full = size(&folder.path().join("keyspaces"));
    for root in 1..=TREES * 9 / 10 {
        assert!(store.remove_tree(id(root << 64), at(11)).await.unwrap().is_some());
    }
    let began = std::time::Instant::now();
    while size(&folder.path().join("keyspaces")) > full / 3 * 2 {
        assert!(began.elapsed().as_secs() < 120, "{} of {full} bytes", size(folder.path()));
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    for root in 1..=TREES {
        let left = if root > TREES * 9 / 10 { 200 } else { 0 };
        assert_eq!(store.read(id(root << 64), 0).await.unwrap().len(), left);
    }
}
