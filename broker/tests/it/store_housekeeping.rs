//! That the embedded store keeps up with itself: what it has in memory goes to files, and by the committer's own doing.

use std::path::Path;
use std::time::{Duration, Instant};

use broker::ports::store::Store;
use broker::store::embedded::{EmbeddedStore, Options};
use tempfile::TempDir;

use super::store_contract::append;

/// Together less than the engine would let a table have in memory before it asked its threads to see to it; in asking they
/// can come to wait for each other for ever.
const APPENDS: u128 = 20_000;
const RECORD_BYTES: usize = 1_504;
/// Of a number in a record.
const DIGITS: u128 = 16;
/// What may stay in memory.
const LEFT_BYTES: u64 = 10_000_000;
const LIMIT: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(20);

/// Digits that no compression makes into little.
fn record(number: u128) -> String {
    (0..RECORD_BYTES as u128 / DIGITS).fold(String::new(), |text, word| {
        let mixed = (number * 1_000_003 + word * 7_919) * 0x9e37_79b9_7f4a_7c15;
        text + &format!("{:016x}", mixed & u128::from(u64::MAX))
    })
}

/// Bytes in the tables' own files.
fn bytes_in_tables(folder: &Path) -> u64 {
    let bytes = |path: &Path| match path.parent().and_then(Path::file_name) {
        // A file may be gone by now: merged into others.
        Some(name) if name == "tables" => std::fs::metadata(path).map_or(0, |file| file.len()),
        _ => 0,
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).map(|path| bytes(&path) + bytes_in_tables(&path)).sum()
}

#[tokio::test]
async fn what_is_in_memory_goes_to_files_before_the_engine_would_ask_for_it() {
    let folder = TempDir::new().unwrap();
    let store = EmbeddedStore::open(folder.path(), Options { fsync: false, ..Options::default() }).unwrap();
    for number in 0..APPENDS {
        store.append(append(number, 0, &[&record(number)])).await.unwrap();
    }
    let appended = u64::try_from(APPENDS).unwrap() * RECORD_BYTES as u64;
    let began = Instant::now();
    loop {
        let written = bytes_in_tables(folder.path());
        if written + LEFT_BYTES >= appended {
            break;
        }
        assert!(began.elapsed() < LIMIT, "{written} bytes of {appended} are in files, and no more come");
        tokio::time::sleep(PAUSE).await;
    }
}
