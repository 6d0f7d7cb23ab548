//! What every store promises of the outbox: rows come and go with the facts they follow from, in one append; a cursor
//! moves only for the setting it is of; all of it is there after reopening.

use std::collections::BTreeMap;
use std::sync::Arc;

use broker::ports::store::{Append, Claim, OutboxChange, OutboxKey, OutboxRow, Store, StoreError, Trouble};
use broker_core::Timestamp;
use proptest::prelude::*;

use super::engines::places;
use super::store_contract::{append, id};

fn key(task: u128, config: &str) -> OutboxKey {
    OutboxKey { task: id(task), config: config.to_owned() }
}

fn set(task: u128, config: &str, set: u64) -> OutboxChange {
    OutboxChange::Set { key: key(task, config), set, next: set + 1 }
}

async fn rows(store: &Arc<dyn Store>) -> Vec<OutboxRow> {
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let page = store.outbox(after, 2).await.unwrap();
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { return rows };
        after = Some(last.key.clone());
        rows.extend(page);
    }
}

#[tokio::test]
async fn a_push_begins_behind_its_setting_and_a_new_setting_goes_on_where_it_is() {
    for place in places().await {
        {
            let store = place.open().await;
            let outbox = vec![set(1, "b", 2), set(1, "a", 3)];
            store.append(Append { outbox, ..append(1, 0, &["x", "y", "z"]) }).await.unwrap();
            let row = |config: &str, set| OutboxRow {
                key: key(1, config),
                root: id(1),
                set,
                next: set + 1,
                trouble: None,
            };
            assert_eq!(rows(&store).await, [row("a", 3), row("b", 2)]);

            let trouble =
                Trouble { since: Timestamp::from_millis(5), reason: "HTTP 500".to_owned(), dead: None };
            let moved = OutboxRow { next: 7, trouble: Some(trouble), ..row("a", 3) };
            assert!(store.move_outbox(moved.clone()).await.unwrap());
            assert_eq!(rows(&store).await, [moved.clone(), row("b", 2)]);
            store.append(Append { outbox: vec![set(1, "a", 4)], ..append(1, 3, &["again"]) }).await.unwrap();
            assert_eq!(rows(&store).await[0], OutboxRow { set: 4, trouble: None, ..moved.clone() });
            assert!(!store.move_outbox(moved).await.unwrap(), "the old setting's cursor");
            assert!(!store.end_outbox(key(1, "a"), 3).await.unwrap(), "nor does it end the new one");
            assert_eq!(rows(&store).await.len(), 2);
        }
        let store = place.open().await;
        assert_eq!(rows(&store).await[0].next, 7, "it is there after reopening");
        let outbox = vec![OutboxChange::Delete(key(1, "b")), OutboxChange::Delete(key(1, "never was"))];
        store.append(Append { outbox, ..append(1, 4, &["gone"]) }).await.unwrap();
        let late = OutboxRow { key: key(1, "b"), root: id(1), set: 2, next: 9, trouble: None };
        assert!(!store.move_outbox(late).await.unwrap(), "what was deleted stays deleted");
        assert!(store.end_outbox(key(1, "a"), 4).await.unwrap());
        assert!(!store.end_outbox(key(1, "a"), 4).await.unwrap());
        assert!(rows(&store).await.is_empty());
    }
}

#[tokio::test]
async fn a_refused_append_begins_and_ends_no_push() {
    for place in places().await {
        let store = place.open().await;
        let claim = Claim {
            principal: "p/alice".to_owned(),
            message_id: "m".to_owned(),
            digest: [1; 32],
            task: id(1),
            root: id(1),
        };
        let claimed = Append { claim: Some(claim), ..append(1, 0, &["x"]) };
        store.append(Append { outbox: vec![set(1, "a", 1)], ..claimed.clone() }).await.unwrap();
        let stale = Append { outbox: vec![OutboxChange::Delete(key(1, "a"))], ..append(1, 0, &["y"]) };
        assert!(matches!(store.append(stale).await, Err(StoreError::Stale { .. })));
        let second = Append { root: id(2), outbox: vec![set(2, "a", 1)], ..claimed };
        assert!(matches!(store.append(second).await, Err(StoreError::Claimed(_))));
        assert_eq!(rows(&store).await.iter().map(|row| row.key.clone()).collect::<Vec<_>>(), [key(1, "a")]);
    }
}

#[tokio::test]
async fn a_journal_is_read_in_pages() {
    for place in places().await {
        let store = place.open().await;
        store.append(append(1, 0, &["a", "b", "c"])).await.unwrap();
        store.append(append(2, 0, &["other"])).await.unwrap();
        assert_eq!(store.read_page(id(1), 0, 2).await.unwrap(), ["a", "b"]);
        assert_eq!(store.read_page(id(1), 2, 2).await.unwrap(), ["c"]);
        assert!(store.read_page(id(1), 3, 2).await.unwrap().is_empty());
    }
}

#[derive(Debug, Clone)]
enum Step {
    Set { task: u128, config: usize },
    Delete { task: u128, config: usize },
    Move { task: u128, config: usize, stale: bool },
    End { task: u128, config: usize, stale: bool },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let at = || (1..4_u128, 0..3_usize);
    let step = prop_oneof![
        3 => at().prop_map(|(task, config)| Step::Set { task, config }),
        1 => at().prop_map(|(task, config)| Step::Delete { task, config }),
        3 => (at(), any::<bool>()).prop_map(|((task, config), stale)| Step::Move { task, config, stale }),
        1 => (at(), any::<bool>()).prop_map(|((task, config), stale)| Step::End { task, config, stale }),
    ];
    prop::collection::vec(step, 0..40)
}

const CONFIGS: [&str; 3] = ["a", "ab", "ü"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_outbox_is_what_a_map_says(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for place in places().await {
            let store = place.open().await;
            let mut expected: BTreeMap<OutboxKey, OutboxRow> = BTreeMap::new();
            let mut heads: BTreeMap<u128, u64> = BTreeMap::new();
            for step in &steps {
                match *step {
                    Step::Set { task, config } => {
                        let head = heads.entry(task).or_insert(0);
                        let outbox = vec![set(task, CONFIGS[config], *head)];
                        store.append(Append { outbox, ..append(task, *head, &["x"]) }).await.unwrap();
                        *head += 1;
                        let key = key(task, CONFIGS[config]);
                        let next = expected.get(&key).map_or(*head, |known| known.next);
                        let row = OutboxRow { key: key.clone(), root: id(task), set: *head - 1, next, trouble: None };
                        expected.insert(key, row);
                    }
                    Step::Delete { task, config } => {
                        let head = heads.entry(task).or_insert(0);
                        let key = key(task, CONFIGS[config]);
                        let outbox = vec![OutboxChange::Delete(key.clone())];
                        store.append(Append { outbox, ..append(task, *head, &["x"]) }).await.unwrap();
                        *head += 1;
                        expected.remove(&key);
                    }
                    Step::Move { task, config, stale } => {
                        let key = key(task, CONFIGS[config]);
                        let known = expected.get(&key).cloned();
                        let set = known.as_ref().map_or(0, |row| row.set) + u64::from(stale);
                        let next = known.as_ref().map_or(0, |row| row.next) + 1;
                        let row = OutboxRow { key: key.clone(), root: id(task), set, next, trouble: None };
                        let moved = store.move_outbox(row.clone()).await.unwrap();
                        assert_eq!(moved, known.is_some() && !stale);
                        if moved {
                            expected.insert(key, row);
                        }
                    }
                    Step::End { task, config, stale } => {
                        let key = key(task, CONFIGS[config]);
                        let known = expected.get(&key).map(|row| row.set);
                        let ended = store.end_outbox(key.clone(), known.unwrap_or(0) + u64::from(stale)).await.unwrap();
                        assert_eq!(ended, known.is_some() && !stale);
                        if ended {
                            expected.remove(&key);
                        }
                    }
                }
                assert_eq!(rows(&store).await, expected.values().cloned().collect::<Vec<_>>());
            }
            }
        });
    }
}
