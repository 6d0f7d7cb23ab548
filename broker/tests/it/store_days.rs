//! The journal's days in PostgreSQL: made ahead, used, and dropped once retention has emptied them; what has no day is kept
//! all the same, and so is what was there before there were any.

use std::sync::Arc;
use std::time::Duration;

use broker::ports::store::{Append, Store};
use broker::store::postgres::{Options, Peer, PostgresStore, parse};
use broker_core::{TaskId, Timestamp};
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use super::engines::{Place, no_roots};
use super::store_contract::append;

const DAY_MILLIS: u128 = 86_400_000;
const PEER: Duration = Duration::from_mins(1);

async fn store(place: &Place) -> Arc<PostgresStore> {
    let options = Options { queue: 64, batch: 8, connections: 2 };
    let peer = Peer { id: Uuid::now_v7(), url: "http://broker.test".to_owned(), lease: PEER };
    Arc::new(PostgresStore::open(place.name(), no_roots(), options, peer).await.unwrap())
}

async fn database(place: &Place) -> Client {
    let (client, connection) = parse(place.name()).unwrap().connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A tree that was begun on a day, and is over.
fn of_day(day: u128) -> Append {
    let root = TaskId(Uuid::from_u128((day * DAY_MILLIS + 1_000) << 80));
    Append { root, open: false, ..append(1, 0, &["a", "b"]) }
}

/// The days there are, and how many records each has.
async fn days(database: &Client) -> Vec<(String, i64)> {
    let text = "SELECT relname::text FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid \
                WHERE inhparent = 'journal'::regclass ORDER BY relname";
    let mut days = Vec::new();
    for row in database.query(text, &[]).await.unwrap() {
        let name: String = row.get(0);
        let records = database.query_one(&format!("SELECT count(*) FROM {name}"), &[]).await.unwrap();
        days.push((name, records.get(0)));
    }
    days
}

fn of(days: &[(String, i64)], name: &str) -> Option<i64> {
    days.iter().find(|(known, _)| known == name).map(|(_, records)| *records)
}

/// Waits until the store has made so many days by itself, as it does when it is opened.
async fn until_made(database: &Client, made: usize) {
    let is_day = |(name, _): &&(String, i64)| name.starts_with("journal_day_");
    let making = async {
        while days(database).await.iter().filter(is_day).count() < made {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), making).await.expect("the days are made");
}

#[tokio::test]
async fn a_day_is_made_ahead_used_and_dropped_once_nothing_is_left_of_it() {
    let Some(place) = Place::schema().await else { return };
    let (store, database) = (store(&place).await, database(&place).await);
    until_made(&database, 3).await;
    store.tend_days(9_000).await.unwrap();
    let tree = of_day(9_001);
    store.append(tree.clone()).await.unwrap();
    store.append(Append { root: TaskId(Uuid::now_v7()), ..append(1, 0, &["c"]) }).await.unwrap();
    let used = days(&database).await;
    assert_eq!(
        (of(&used, "journal_day_9001"), of(&used, "journal_day_9000")),
        (Some(2), Some(0)),
        "{used:?}"
    );

    store.tend_days(9_100).await.unwrap();
    let later = days(&database).await;
    assert_eq!(of(&later, "journal_day_9001"), Some(2), "it is not empty: {later:?}");
    assert_eq!(of(&later, "journal_day_9000"), None, "it is: {later:?}");
    assert!(of(&later, "journal_day_9100").is_some(), "{later:?}");
    assert_eq!(store.read(tree.root, 0).await.unwrap(), ["a", "b"]);

    assert!(store.remove_tree(tree.root, Timestamp::from_millis(i64::MAX)).await.unwrap().is_some());
    store.tend_days(9_002).await.unwrap();
    assert!(of(&days(&database).await, "journal_day_9001").is_some(), "it was yesterday");
    store.tend_days(9_003).await.unwrap();
    assert_eq!(of(&days(&database).await, "journal_day_9001"), None);
    assert!(store.read(tree.root, 0).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_has_no_day_is_kept_and_keeps_no_other_day_from_being_made() {
    let Some(place) = Place::schema().await else { return };
    let (store, database) = (store(&place).await, database(&place).await);
    until_made(&database, 3).await;
    let tree = of_day(9_001);
    store.append(tree.clone()).await.unwrap();
    store.tend_days(9_000).await.unwrap();
    let made = days(&database).await;
    assert_eq!(of(&made, "journal_day_9001"), None, "its trees are elsewhere already: {made:?}");
    assert_eq!((of(&made, "journal_day_9000"), of(&made, "journal_day_9002")), (Some(0), Some(0)));
    let more = Append { expected: 2, ..tree.clone() };
    store.append(more).await.unwrap();
    assert_eq!(store.read(tree.root, 0).await.unwrap(), ["a", "b", "a", "b"]);
}

#[tokio::test]
async fn a_journal_of_a_version_without_days_is_read_on() {
    let Some(place) = Place::schema().await else { return };
    let database = database(&place).await;
    let root = of_day(9_001).root;
    let tables = include_str!("../../src/store/postgres/migrations/0001_tables.sql");
    let (tree, nobody) = (root.0, Uuid::nil());
    let before = format!(
        "CREATE TABLE migrations (step integer PRIMARY KEY, at timestamptz NOT NULL DEFAULT now()); \
         {tables} INSERT INTO migrations (step) VALUES (1); \
         INSERT INTO trees (root, records, over, driver) VALUES ('{tree}', 1, 5, '{nobody}'); \
         INSERT INTO journal (root, number, record) VALUES ('{tree}', 0, 'old')"
    );
    database.batch_execute(&before).await.unwrap();
    let store = store(&place).await;
    // Today and tomorrow are where the old ones are, whatever of them there is.
    until_made(&database, 1).await;
    let kept = days(&database).await;
    assert_eq!(of(&kept, "journal_before"), Some(1), "{kept:?}");
    assert_eq!(kept.iter().filter(|(name, _)| name.starts_with("journal_day_")).count(), 1, "{kept:?}");
    assert_eq!(store.read(root, 0).await.unwrap(), ["old"]);
    let new = Append { root: TaskId(Uuid::now_v7()), ..append(1, 0, &["new"]) };
    store.append(new).await.unwrap();
    assert_eq!(of(&days(&database).await, "journal_before"), Some(2));
    assert!(store.remove_tree(root, Timestamp::from_millis(6)).await.unwrap().is_some());
    assert!(store.read(root, 0).await.unwrap().is_empty());
}
