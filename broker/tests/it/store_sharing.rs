//! Several brokers over one database, at the store's door: who drives a tree may append to it, and nobody else; what one
//! leaves another takes over; a document is made once.

use std::sync::Arc;
use std::time::Duration;

use broker::ports::store::{
    Append, Changed, Drive, OutboxChange, OutboxKey, OutboxRow, Store, StoreError, TaskRow, Usage,
};
use broker::store::postgres::{Options, Peer, PostgresStore, parse};
use broker_core::Timestamp;
use bytes::Bytes;
use protocol::TaskState;
use tokio_postgres::NoTls;
use uuid::Uuid;

use super::engines::{Place, no_roots};
use super::store_contract::{append, id};

async fn broker(place: &Place, number: u16, lease: Duration) -> Arc<PostgresStore> {
    let options = Options { queue: 64, batch: 8, connections: 2 };
    let peer = Peer { id: Uuid::now_v7(), url: format!("http://broker.test:{number}"), lease };
    Arc::new(PostgresStore::open(place.name(), no_roots(), options, peer).await.unwrap())
}

const LONG: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_tree_is_appended_to_by_its_driver_alone_and_taken_over_when_that_is_gone() {
    let Some(place) = Place::schema().await else { return };
    let (one, two) = (broker(&place, 1, LONG).await, broker(&place, 2, LONG).await);
    one.append(append(1, 0, &["a"])).await.unwrap();
    one.append(Append { open: false, ..append(2, 0, &["over"]) }).await.unwrap();
    assert_eq!(one.driver(id(1)).await.unwrap(), Drive::Here);
    assert_eq!(two.driver(id(1)).await.unwrap(), Drive::At("http://broker.test:1".to_owned()));
    assert_eq!(two.driver(id(9)).await.unwrap(), Drive::Here, "what is nowhere is nobody else's");
    assert!(matches!(two.append(append(1, 1, &["b"])).await, Err(StoreError::Engine(_))));
    assert!(two.adopt(9).await.unwrap().is_empty(), "it is there");
    assert_eq!(two.open_trees(None, 9).await.unwrap(), [], "it drives none");
    assert_eq!(two.read(id(1), 0).await.unwrap(), ["a"], "but may read all");

    one.leave().await;
    assert_eq!(two.driver(id(1)).await.unwrap(), Drive::Nobody);
    assert_eq!(two.adopt(9).await.unwrap(), [id(1)]);
    assert_eq!(two.adopt(9).await.unwrap(), [], "once");
    assert_eq!(two.driver(id(1)).await.unwrap(), Drive::Here);
    assert_eq!(two.driver(id(2)).await.unwrap(), Drive::Here, "what is over is taken when it is wanted");
    two.append(append(1, 1, &["b"])).await.unwrap();
    for late in [append(1, 2, &["late"]), append(2, 1, &["late"]), append(3, 0, &["new"])] {
        assert!(
            matches!(one.append(late).await, Err(StoreError::Engine(_))),
            "who is gone writes nothing more"
        );
    }
    assert_eq!(one.until_failed().await.split(' ').next(), Some("other"));
}

#[tokio::test]
async fn who_is_gone_takes_nothing_and_what_somebody_forgotten_has_left_is_found() {
    let Some(place) = Place::schema().await else { return };
    let one = broker(&place, 1, LONG).await;
    one.append(append(1, 0, &["a"])).await.unwrap();
    let outbox =
        vec![OutboxChange::Set { key: OutboxKey { task: id(2), config: "k".to_owned() }, set: 3, next: 2 }];
    one.append(Append { open: false, outbox, ..append(2, 0, &["over"]) }).await.unwrap();
    one.append(Append { open: false, ..append(3, 0, &["told"]) }).await.unwrap();
    one.leave().await;
    assert_eq!(one.adopt(9).await.unwrap(), [], "not even what was its own");
    let (client, connection) = parse(place.name()).unwrap().connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    // As in tables that were restored without that one.
    client.execute("DELETE FROM brokers", &[]).await.unwrap();
    let two = broker(&place, 2, LONG).await;
    let mut adopted = two.adopt(9).await.unwrap();
    adopted.sort();
    assert_eq!(adopted, [id(1), id(2)]);
    let old = "UPDATE brokers SET expires = now() - interval '2 days' WHERE gone";
    client.execute(old, &[]).await.unwrap();
    two.leave().await;
    client.execute(old, &[]).await.unwrap();
    let mut adopted = broker(&place, 3, LONG).await.adopt(9).await.unwrap();
    adopted.sort();
    assert_eq!(adopted, [id(1), id(2)], "who has left something to do is remembered for longer than a day");
}

#[tokio::test]
async fn what_is_over_is_removed_by_its_driver_and_by_anybody_once_that_is_gone() {
    let Some(place) = Place::schema().await else { return };
    let (one, two) = (broker(&place, 1, LONG).await, broker(&place, 2, LONG).await);
    let after = Timestamp::from_millis(i64::MAX);
    for root in [1, 2] {
        one.append(Append { open: false, ..append(root, 0, &["over"]) }).await.unwrap();
    }
    let found = async |broker: &PostgresStore| {
        let over = broker.over(after, None, 9).await.unwrap();
        over.into_iter().map(|over| over.root).collect::<Vec<_>>()
    };
    assert_eq!(found(&two).await, [], "who has them in memory would go on showing them");
    assert_eq!(two.remove_tree(id(1), after).await.unwrap(), None);
    assert_eq!(found(&one).await, [id(1), id(2)]);
    assert!(one.remove_tree(id(1), after).await.unwrap().is_some());
    one.leave().await;
    assert_eq!(found(&two).await, [id(2)]);
    assert!(two.remove_tree(id(2), after).await.unwrap().is_some());
}

#[tokio::test]
async fn who_is_not_heard_of_in_time_is_gone_and_who_is_stays() {
    let Some(place) = Place::schema().await else { return };
    let lease = Duration::from_secs(2);
    let (one, two) = (broker(&place, 1, lease).await, broker(&place, 2, lease).await);
    one.append(append(1, 0, &["a"])).await.unwrap();
    // Long enough for the second one to judge who is late.
    tokio::time::sleep(lease * 3 / 2).await;
    let began = std::time::Instant::now();
    // A machine that stood still for as long as the lease has kept both from saying a word: they say it again.
    while !(one.is_current() && two.is_current()) {
        assert!(began.elapsed() < LONG, "they do not say that they are there");
        tokio::time::sleep(lease / 10).await;
    }
    assert!(two.adopt(9).await.unwrap().is_empty(), "it keeps saying that it is there");
    // Its tasks end with it, and nobody says so for it.
    drop(one);
    let began = std::time::Instant::now();
    while two.adopt(9).await.unwrap().is_empty() {
        assert!(began.elapsed() < LONG, "it is never taken for gone");
        tokio::time::sleep(lease / 10).await;
    }
    two.append(append(1, 1, &["b"])).await.unwrap();
}

#[tokio::test]
async fn what_the_database_does_not_take_is_refused_and_nothing_else_is() {
    let Some(place) = Place::schema().await else { return };
    let one = broker(&place, 1, LONG).await;
    let row = |root: u128, context: &str| TaskRow {
        task: id(root),
        root: id(root),
        owner: "alice".to_owned(),
        agent: "a".to_owned(),
        context_id: context.to_owned(),
        state: TaskState::Working,
        updated: Timestamp::default(),
    };
    let with =
        |root: u128, context: &str| Append { rows: vec![row(root, context)], ..append(root, 0, &["x"]) };
    // Together, so that they are one batch.
    let appended = futures_util::future::join_all(
        (1..=6).map(|root| one.append(with(root, if root == 3 { "nul\0" } else { "c" }))),
    );
    for (root, appended) in (1..).zip(appended.await) {
        assert_eq!(appended.is_ok(), root != 3, "{root}: {appended:?}");
        assert_eq!(one.read(id(root), 0).await.unwrap().is_empty(), root == 3);
    }
    assert_eq!(one.open_tasks().await.unwrap(), [("alice".to_owned(), "a".to_owned(), 5)]);
}

#[tokio::test]
async fn a_push_of_a_tree_that_another_one_drives_is_not_moved() {
    let Some(place) = Place::schema().await else { return };
    let (one, two) = (broker(&place, 1, LONG).await, broker(&place, 2, LONG).await);
    let key = OutboxKey { task: id(1), config: "k".to_owned() };
    let outbox = vec![OutboxChange::Set { key: key.clone(), set: 3, next: 2 }];
    one.append(Append { open: false, outbox, ..append(1, 0, &["a"]) }).await.unwrap();
    let moved = OutboxRow { key: key.clone(), root: id(1), set: 3, next: 9, trouble: None };
    assert!(!two.move_outbox(moved.clone()).await.unwrap() && !two.end_outbox(key.clone(), 3).await.unwrap());
    assert!(two.own_outbox(None, 9).await.unwrap().is_empty());
    assert!(one.move_outbox(moved.clone()).await.unwrap());
    one.leave().await;
    assert_eq!(two.driver(id(1)).await.unwrap(), Drive::Nobody, "what is left to push goes with the tree");
    assert_eq!(two.adopt(9).await.unwrap(), [id(1)]);
    assert_eq!(two.own_outbox(None, 9).await.unwrap(), [moved]);
    assert!(two.end_outbox(key, 3).await.unwrap());
}

#[tokio::test]
async fn what_brokers_say_of_their_use_the_others_hear_also_once_they_are_gone() {
    let Some(place) = Place::schema().await else { return };
    let (one, two) = (broker(&place, 1, LONG).await, broker(&place, 2, LONG).await);
    let said = |text: &'static str| Bytes::from_static(text.as_bytes());
    let heard = |usage: Vec<Usage>| -> Vec<(bool, Bytes)> {
        usage.into_iter().map(|usage| (usage.is_there, usage.said)).collect()
    };
    assert_eq!(one.exchange_usage(said("a")).await.unwrap(), []);
    assert_eq!(heard(two.exchange_usage(said("b")).await.unwrap()), [(true, said("a"))]);
    assert_eq!(heard(one.exchange_usage(said("c")).await.unwrap()), [(true, said("b"))]);
    assert_eq!(heard(two.exchange_usage(said("b")).await.unwrap()), [(true, said("c"))], "the last word");
    one.leave().await;
    assert_eq!(heard(two.exchange_usage(said("b")).await.unwrap()), [(false, said("c"))]);
}

#[tokio::test]
async fn a_broker_that_is_started_again_takes_over_from_itself_at_once() {
    let Some(place) = Place::schema().await else { return };
    let one = broker(&place, 1, LONG).await;
    one.append(append(1, 0, &["a"])).await.unwrap();
    let again = broker(&place, 1, LONG).await;
    assert_eq!(again.adopt(9).await.unwrap(), [id(1)]);
    assert!(matches!(one.append(append(1, 1, &["b"])).await, Err(StoreError::Engine(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_brokers_that_make_one_document_one_does_and_the_others_hear_of_it() {
    let Some(place) = Place::schema().await else { return };
    let mut brokers = Vec::new();
    for number in 0..4 {
        brokers.push(broker(&place, number, LONG).await);
    }
    let mut heard: Vec<_> = brokers.iter().map(|broker| broker.changes().unwrap()).collect();
    for receiver in &mut heard {
        assert_eq!(receiver.recv().await.unwrap(), Changed::Anything, "it listens from now on");
    }
    let make = |number: usize| {
        let (broker, document) = (Arc::clone(&brokers[number]), Bytes::from(format!("{number}")));
        tokio::spawn(async move { broker.replace_document("keys", None, document, None).await.unwrap() })
    };
    let making: Vec<_> = (0..brokers.len()).map(make).collect();
    let mut winners = Vec::new();
    for (number, making) in making.into_iter().enumerate() {
        winners.extend(making.await.unwrap().then_some(number));
    }
    let [winner] = winners[..] else { panic!("one of them: {winners:?}") };
    for (number, (broker, heard)) in brokers.iter().zip(&mut heard).enumerate() {
        let document = broker.document("keys").await.unwrap().unwrap();
        assert_eq!(document, winner.to_string());
        if number != winner {
            assert_eq!(heard.recv().await.unwrap(), Changed::Documents);
        }
        let next = Bytes::from("next");
        let is_first = broker.replace_document("keys", Some(document), next, None).await.unwrap();
        assert!(is_first);
        let back = broker.put_document("keys", Bytes::from(winner.to_string()), None).await;
        back.unwrap();
    }
    assert_eq!(brokers[0].over(Timestamp::default(), None, 1).await.unwrap(), []);
}
