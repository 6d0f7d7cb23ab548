//! SIGKILL of a process that appends: what it was told is durable is there, nothing is half there.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use broker::ports::store::{Append, RowQuery, Store};
use tempfile::TempDir;

use super::store_audit::{entry, log, verify};
use super::store_contract::{append, id, open};

/// Set in the child: where its store is.
const FOLDER: &str = "BAILIWICK_TEST_CRASH_STORE";
const ROUNDS: u64 = 20;

/// Not a test of its own: the process that is killed. Does nothing unless told where.
#[tokio::test(flavor = "multi_thread")]
async fn child_that_appends() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let options = broker::store::embedded::Options::default();
    let store =
        std::sync::Arc::new(broker::store::embedded::EmbeddedStore::open(folder.as_ref(), options).unwrap());
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

#[tokio::test]
async fn what_was_acknowledged_survives_sigkill() {
    let folder = TempDir::new().unwrap();
    let mut durable = std::collections::BTreeMap::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store_crash::child_that_appends", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reader = std::thread::spawn(move || {
            let words = |line: String| line.split(' ').map(ToOwned::to_owned).collect::<Vec<_>>();
            lines
                .map_while(Result::ok)
                .map(words)
                .filter(|words| words.len() == 3 && words[0] == "durable")
                .collect::<Vec<_>>()
        });
        std::thread::sleep(Duration::from_millis(80 + 13 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        for words in reader.join().unwrap() {
            let (Ok(root), Ok(head)) = (words[1].parse::<u128>(), words[2].parse::<u64>()) else { continue };
            durable.insert(root, head);
        }
        let store = open(&folder);
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
