//! How many records a second the embedded store makes durable, by itself: so many writers, each with a tree of its own,
//! each appends its next record when the last is durable. `benchmarks/` sets it beside a bare log.
#![allow(clippy::print_stdout, reason = "it says what it measured")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::ports::store::{Append, Store, StoreError, TaskRow};
use broker::store::embedded::{EmbeddedStore, Options};
use broker_core::{TaskId, Timestamp};
use bytes::Bytes;
use protocol::TaskState;

/// The broker's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A message with what surrounds it.
const RECORD: [u8; 1024] = [b'x'; 1024];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, writers, seconds] = &arguments[..] else {
        return Err("usage: group_commit FOLDER WRITERS SECONDS".into());
    };
    let store = Arc::new(EmbeddedStore::open(Path::new(folder), Options::default())?);
    let (began, time) = (Instant::now(), Duration::from_secs_f64(seconds.parse()?));
    let mut writing = tokio::task::JoinSet::new();
    for _ in 0..writers.parse::<u64>()? {
        writing.spawn(write(Arc::clone(&store), began + time));
    }
    let mut records = 0;
    while let Some(written) = writing.join_next().await {
        records += written??;
    }
    #[expect(clippy::cast_precision_loss, reason = "a number of records")]
    let per_second = records as f64 / began.elapsed().as_secs_f64();
    println!("{per_second:.0}");
    Ok(())
}

/// Appends to a tree of its own until it is time; how many records.
async fn write(store: Arc<EmbeddedStore>, end: Instant) -> Result<u64, StoreError> {
    let root = TaskId(uuid::Uuid::now_v7());
    let mut records = 0;
    while Instant::now() < end {
        store.append(append(root, records)).await?;
        records += 1;
    }
    Ok(records)
}

/// The next record of a task at work, and its row, whose place in the order moves.
fn append(root: TaskId, expected: u64) -> Append {
    let at = Timestamp::from_millis(i64::try_from(expected).unwrap_or(i64::MAX));
    let row = TaskRow {
        task: root,
        root,
        owner: "p/alice".to_owned(),
        agent: "echo".to_owned(),
        context_id: "c".to_owned(),
        state: TaskState::Working,
        updated: at,
    };
    Append {
        root,
        expected,
        at,
        records: vec![Bytes::from_static(&RECORD)],
        claim: None,
        rows: vec![row],
        open: true,
        audit: Vec::new(),
        outbox: Vec::new(),
    }
}
