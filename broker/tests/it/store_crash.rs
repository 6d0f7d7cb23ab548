//! SIGKILL of a process that appends, or removes: what it was told is so, nothing is half there.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use broker::ports::store::{Append, RowQuery, Store};
use broker::store::embedded::{EmbeddedStore, Options};
use broker_core::Timestamp;

use super::engines::{Place, places};
use super::store_audit::{entry, log, verify};
use super::store_contract::{append, id};

/// Set in the child: the place of its store.
const APPENDING: &str = "BAILIWICK_TEST_CRASH_APPENDING";
const REMOVING: &str = "BAILIWICK_TEST_CRASH_REMOVING";
/// Records of a tree that are too many for one batch.
const LONG: usize = 600;
const ROUNDS: usize = 20;

/// Not a test of its own: the process that is killed. Does nothing unless told where.
#[tokio::test(flavor = "multi_thread")]
async fn child_that_appends() {
    let Ok(place) = std::env::var(APPENDING) else { return };
    let store = Place::named(&place).open().await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 1..=8_u128 {
        let store = std::sync::Arc::clone(&store);
        writers.spawn(async move {
            let root = writer << 64 | u128::from(std::process::id());
            let mut head = 0;
            loop {
                let audit = vec![entry(&format!("{root} {head}"))];
                store.append(Append { audit, ..append(root, head, &["first", "second"]) }).await.unwrap();
                head += 2;
                println!("durable {root} {head}");
            }
        });
    }
    writers.join_all().await;
}

/// What a child said, in words, until it was killed: once it had said so much, in the middle of whatever it did then.
fn until_killed(test: &str, variable: &str, place: &Place, enough: usize) -> Vec<Vec<String>> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(variable, place.name())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        let words: Vec<String> = line.split(' ').map(ToOwned::to_owned).collect();
        if words.len() == 3 && ["durable", "removed"].contains(&&*words[0]) {
            said.push(words);
        }
        if said.len() == enough {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    said
}

#[tokio::test]
async fn what_was_acknowledged_survives_sigkill() {
    for place in places().await {
        appended_until_killed(&place).await;
    }
}

async fn appended_until_killed(place: &Place) {
    let mut durable = std::collections::BTreeMap::new();
    for round in 0..ROUNDS {
        for words in until_killed("store_crash::child_that_appends", APPENDING, place, 20 + 17 * round) {
            let (Ok(root), Ok(head)) = (words[1].parse::<u128>(), words[2].parse::<u64>()) else { continue };
            durable.insert(root, head);
        }
        place.settle().await;
        let store = place.open().await;
        for (root, head) in &durable {
            let records = store.read(id(*root), 0).await.unwrap();
            assert!(
                records.len() as u64 >= *head,
                "round {round}: {root} was told {head}, has {}",
                records.len()
            );
            assert!(records.len().is_multiple_of(2), "round {round}: half an append");
            assert!(records.chunks(2).all(|pair| pair[0] == "first" && pair[1] == "second"));
        }
        store.rows(RowQuery { limit: 1, ..RowQuery::default() }).await.unwrap();
        // The chain is whole, and each change that is there has its entry, and the other way round.
        verify(&store).await;
        let mut entries = std::collections::BTreeMap::<u128, u64>::new();
        for line in log(&store).await {
            let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
            let (root, at) =
                line["event"]["agent_removed"]["agent"].as_str().unwrap().split_once(' ').unwrap();
            let head = entries.entry(root.parse().unwrap()).or_default();
            assert_eq!(at.parse::<u64>().unwrap(), *head, "round {round}: {root}: in order, none left out");
            *head += 2;
        }
        for (root, head) in &entries {
            assert_eq!(store.read(id(*root), 0).await.unwrap().len() as u64, *head, "round {round}: {root}");
        }
        assert!(durable.keys().all(|root| entries.contains_key(root)), "round {round}");
    }
    assert!(durable.len() > 8, "the child was alive long enough to write: {durable:?}");
}

/// Not a test of its own: the process that is killed while it removes. Does nothing unless told where.
#[tokio::test(flavor = "multi_thread")]
async fn child_that_removes() {
    let Ok(place) = std::env::var(REMOVING) else { return };
    let store = Place::named(&place).open().await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 1..=4_u128 {
        let store = std::sync::Arc::clone(&store);
        writers.spawn(async move {
            for number in 0.. {
                let root = writer << 96 | u128::from(std::process::id()) << 32 | number;
                // Some journals are too long for one batch.
                let records = vec!["x"; if number % 4 == 2 { LONG } else { 3 }];
                store.append(Append { open: false, ..append(root, 0, &records) }).await.unwrap();
                println!("durable {root} {}", records.len());
                if number % 2 == 0 {
                    assert!(store.remove_tree(id(root), Timestamp::from_millis(1)).await.unwrap().is_some());
                    println!("removed {root} 0");
                }
            }
        });
    }
    writers.join_all().await;
}

#[tokio::test]
async fn after_sigkill_every_tree_is_there_or_wholly_gone() {
    for place in places().await {
        removed_until_killed(&place).await;
    }
}

async fn removed_until_killed(place: &Place) {
    let (mut told, mut removed) = (std::collections::BTreeMap::new(), 0);
    for round in 0..ROUNDS {
        for words in until_killed("store_crash::child_that_removes", REMOVING, place, 10 + 7 * round) {
            let (Ok(root), Ok(records)) = (words[1].parse::<u128>(), words[2].parse::<usize>()) else {
                continue;
            };
            removed += usize::from(words[0] == "removed");
            told.insert(root, records);
        }
        place.settle().await;
        let store = place.open().await;
        let over = store.over(Timestamp::from_millis(1), None, usize::MAX).await.unwrap();
        let over: std::collections::BTreeSet<_> = over.into_iter().map(|over| over.root).collect();
        for (root, records) in &told {
            let found = store.read(id(*root), 0).await.unwrap().len();
            // What was told to be there may have been removed since, but not the other way round.
            assert!(found == *records || found == 0, "round {round}: {found} of {records} records");
            assert_eq!(over.contains(&id(*root)), found > 0, "round {round}: {root}");
            if root % 2 == 1 {
                assert_eq!(found, *records, "round {round}: nobody removed {root}");
            }
        }
        for root in over {
            assert!([3, LONG].contains(&store.read(root, 0).await.unwrap().len()), "round {round}: {root}");
        }
    }
    assert!(removed > 8, "the child was alive long enough to remove: {removed}");
    if let Place::Folder(folder, _) = place {
        nothing_lies_about(folder, told.len()).await;
    }
}

/// No record is left of what was removed, once there was time to clear up.
async fn nothing_lies_about(folder: &Path, trees: usize) {
    let store = EmbeddedStore::open(folder, Options { fsync: false, ..Options::default() }).unwrap();
    // Each write takes a portion along.
    for _ in 0..trees * LONG / 256 {
        store.put_document("any", bytes::Bytes::new(), None).await.unwrap();
    }
    let left: usize = {
        let mut left = 0;
        for over in store.over(Timestamp::from_millis(1), None, usize::MAX).await.unwrap() {
            left += store.read(over.root, 0).await.unwrap().len();
        }
        left
    };
    drop(store);
    let engine = fjall::Database::builder(folder).open().unwrap();
    let journal = engine.keyspace("journal", fjall::KeyspaceCreateOptions::default).unwrap();
    assert_eq!(journal.len().unwrap(), left, "no record lies about that belongs to no tree");
}
