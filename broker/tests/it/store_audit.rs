//! What every store promises of the audit log: one chain, in the order of what was written, whatever happens.

use std::sync::Arc;

use broker::ports::store::{Append, Store, StoreError};
use broker::store::embedded::Options;
use broker_core::Timestamp;
use broker_core::audit::{By, Entry, Event, Head, Removed, Report, Verifier};
use bytes::Bytes;

use super::engines::places;
use super::store_contract::append;

/// An entry that can be told from others.
pub(crate) fn entry(mark: &str) -> Entry {
    let removed = Removed { by: By::Configuration, agent: mark.to_owned() };
    Entry::new(Timestamp::from_millis(7), &Event::AgentRemoved(removed)).unwrap()
}

pub(crate) async fn log(store: &Arc<dyn Store>) -> Vec<Bytes> {
    store.audit_log(0, usize::MAX).await.unwrap()
}

/// Judges the whole log against the head the store names.
pub(crate) async fn verify(store: &Arc<dyn Store>) -> Report {
    let mut verifier = Verifier::after(Head::default());
    for line in log(store).await {
        verifier.line(&[&line[..], b"\n"].concat()).unwrap();
    }
    let head = store.audit_head().await.unwrap();
    verifier.line(format!("{}\n", head.line()).as_bytes()).unwrap();
    verifier.finish().unwrap()
}

/// The marks of the entries, in order.
fn marks(lines: &[Bytes]) -> Vec<String> {
    let mark = |line: &Bytes| {
        let line: serde_json::Value = serde_json::from_slice(line).unwrap();
        line["event"]["agent_removed"]["agent"].as_str().unwrap().to_owned()
    };
    lines.iter().map(mark).collect()
}

#[tokio::test]
async fn entries_are_written_with_what_they_are_about_and_only_then_and_the_chain_goes_on_after_reopening() {
    for place in places().await {
        {
            let store = place.open().await;
            assert_eq!(store.audit_head().await.unwrap(), Head::default());
            store
                .append(Append { audit: vec![entry("a"), entry("b")], ..append(1, 0, &["x"]) })
                .await
                .unwrap();
            let stale = store.append(Append { audit: vec![entry("no")], ..append(1, 0, &["x"]) }).await;
            assert!(matches!(stale, Err(StoreError::Stale { .. })));
            store.put_agent("agent", Bytes::from("doc"), Some(entry("c"))).await.unwrap();
            store.note(vec![entry("d")]).unwrap();
            assert!(store.remove_agent("agent", entry("e")).await.unwrap());
            assert!(!store.remove_agent("agent", entry("no")).await.unwrap());
            assert_eq!(verify(&store).await.entries, 5);
        }
        let store = place.open().await;
        store.note(vec![entry("f")]).unwrap();
        assert_eq!(
            marks(&log(&store).await),
            ["a", "b", "c", "d", "e", "f"],
            "what was handed over is there to read"
        );
        assert_eq!(verify(&store).await.head.n, 6);
        let page = store.audit_log(2, 3).await.unwrap();
        assert_eq!(marks(&page), ["c", "d", "e"]);
        assert!(store.audit_log(6, 10).await.unwrap().is_empty());
        assert!(store.audit_log(u64::MAX, 10).await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_writers_at_a_time_each_finds_its_entries_in_its_order_in_one_chain() {
    const WRITERS: u128 = 16;
    const EACH: u64 = 40;
    for place in places().await {
        let store = place.open().await;
        let mut writers = tokio::task::JoinSet::new();
        for writer in 1..=WRITERS {
            let store = Arc::clone(&store);
            writers.spawn(async move {
                for number in 0..EACH {
                    let mark = entry(&format!("{writer} {number}"));
                    if number % 3 == 0 {
                        store.note(vec![mark]).unwrap();
                        store.append(append(writer, number, &["x"])).await.unwrap();
                    } else {
                        store
                            .append(Append { audit: vec![mark], ..append(writer, number, &["x"]) })
                            .await
                            .unwrap();
                    }
                }
            });
        }
        writers.join_all().await;
        assert_eq!(u128::from(verify(&store).await.entries), WRITERS * u128::from(EACH));
        let marks = marks(&log(&store).await);
        for writer in 1..=WRITERS {
            let own: Vec<&str> =
                marks.iter().filter_map(|mark| mark.strip_prefix(&format!("{writer} "))).collect();
            let expected: Vec<String> = (0..EACH).map(|number| number.to_string()).collect();
            assert_eq!(own, expected);
        }
    }
}

#[tokio::test]
async fn a_full_queue_refuses_entries_and_keeps_the_chain_whole() {
    for place in places().await {
        let store = place.open_with(Options { queue: 1, batch: 1, fsync: true }).await;
        let taken = (0..500).filter(|number| store.note(vec![entry(&number.to_string())]).is_ok()).count();
        assert!((1..500).contains(&taken), "{taken}");
        // The reader itself may be refused while the queue is full.
        let lines = loop {
            match store.audit_log(0, usize::MAX).await {
                Ok(lines) => break lines,
                Err(StoreError::Overloaded { .. }) => tokio::task::yield_now().await,
                Err(other) => panic!("{other}"),
            }
        };
        assert_eq!(lines.len(), taken);
        assert_eq!(usize::try_from(verify(&store).await.entries), Ok(taken));
    }
}
