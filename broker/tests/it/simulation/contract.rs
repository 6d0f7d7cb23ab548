//! The simulated disk keeps the contract the real stores keep: put to random changes, it answers as each of them does.

use std::sync::Arc;

use broker::ports::store::{
    Append, Claim, OutboxChange, OutboxKey, OutboxRow, Over, RowQuery, Store, StoreError, TaskRow, Trouble,
};
use broker_core::Timestamp;
use bytes::Bytes;
use proptest::prelude::*;
use protocol::TaskState;

use super::super::engines::places;
use super::super::store_audit::entry;
use super::super::store_contract::{append, id};
use super::disk::Disk;

#[derive(Debug, Clone)]
enum Step {
    Append { root: u128, stale: bool, records: usize, claim: Option<usize>, updated: i64, open: bool },
    Remove { root: u128, before: i64 },
    Forget { before: i64, limit: usize },
    Push { root: u128, config: usize, delete: bool },
    Move { root: u128, config: usize, set: u64, end: bool, dead: Option<i64> },
    Agent { name: usize, remove: bool },
    Document { name: usize },
}

const NAMES: [&str; 3] = ["a", "ab", "b"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (root, name) = (1..4_u128, 0..NAMES.len());
    let appended = (root.clone(), prop::bool::weighted(0.1), 1..4_usize, prop::option::of(0..3_usize));
    let append =
        (appended, 0..9_i64, any::<bool>()).prop_map(|((root, stale, records, claim), updated, open)| {
            Step::Append { root, stale, records, claim, updated, open }
        });
    let push = (root.clone(), name.clone(), any::<bool>()).prop_map(|(root, config, delete)| Step::Push {
        root,
        config,
        delete,
    });
    let moved = (root.clone(), name.clone(), 0..4_u64, any::<bool>(), prop::option::of(0..30_i64))
        .prop_map(|(root, config, set, end, dead)| Step::Move { root, config, set, end, dead });
    let remove = (root, 0..40_i64).prop_map(|(root, before)| Step::Remove { root, before });
    let forget = (0..40_i64, 1..3_usize).prop_map(|(before, limit)| Step::Forget { before, limit });
    let agent = (name.clone(), any::<bool>()).prop_map(|(name, remove)| Step::Agent { name, remove });
    let document = name.prop_map(|name| Step::Document { name });
    let step = prop_oneof![
        8 => append, 3 => push, 3 => moved, 4 => remove, 1 => forget, 1 => agent, 1 => document
    ];
    prop::collection::vec(step, 1..30)
}

fn row(root: u128, updated: i64) -> TaskRow {
    let state = if updated % 2 == 0 { TaskState::Working } else { TaskState::Completed };
    TaskRow {
        task: id(root * 10),
        root: id(root),
        owner: NAMES[usize::try_from(root % 2).unwrap()].to_owned(),
        agent: "a".to_owned(),
        context_id: "c".to_owned(),
        state,
        updated: Timestamp::from_millis(updated),
    }
}

#[allow(clippy::needless_pass_by_value, reason = "results are made to be compared")]
fn text<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    format!("{result:?}")
}

async fn take(store: &Arc<dyn Store>, disk: &mut Disk, step: &Step, number: u64) -> [String; 2] {
    let key = |root: u128, config: usize| OutboxKey { task: id(root), config: NAMES[config].to_owned() };
    let at = Timestamp::from_millis(i64::try_from(number).unwrap());
    let head = |disk: &Disk, root: u128| disk.read_page(id(root), 0, usize::MAX).len() as u64;
    match *step {
        Step::Append { root, stale, records, claim, updated, open } => {
            let expected = head(disk, root) + u64::from(stale);
            let claim = claim.map(|name| Claim {
                principal: "p/alice".to_owned(),
                message_id: NAMES[name].to_owned(),
                digest: [1; 32],
                task: id(root),
                root: id(root),
            });
            let records = vec!["x"; records];
            let rows = vec![row(root, updated)];
            let change = Append {
                claim,
                rows,
                open,
                at,
                audit: vec![entry(&number.to_string())],
                ..append(root, expected, &records)
            };
            [text(store.append(change.clone()).await), text(disk.append(change))]
        }
        Step::Push { root, config, delete } => {
            let key = key(root, config);
            let push = if delete {
                OutboxChange::Delete(key)
            } else {
                OutboxChange::Set { key, set: number % 4, next: number }
            };
            let change = Append { at, outbox: vec![push], ..append(root, head(disk, root), &["p"]) };
            [text(store.append(change.clone()).await), text(disk.append(change))]
        }
        Step::Remove { root, before } => {
            let before = Timestamp::from_millis(before);
            let removed = store.remove_tree(id(root), before).await;
            [text(removed), text(Ok(disk.remove_tree(id(root), before)))]
        }
        Step::Forget { before, limit } => {
            let before = Timestamp::from_millis(before);
            let forgotten = store.forget_claims(before, limit).await;
            [text(forgotten), text(Ok(disk.forget_claims(before, limit)))]
        }
        Step::Move { root, config, set, end, dead } => {
            let key = key(root, config);
            let trouble = dead.map(|dead| Trouble {
                since: Timestamp::default(),
                reason: "HTTP 500".to_owned(),
                dead: Some(Timestamp::from_millis(dead)),
            });
            let row = OutboxRow { key: key.clone(), root: id(root), set, next: number, trouble };
            if end {
                let ended = store.end_outbox(key.clone(), set).await;
                return [text(ended), text(Ok(disk.advance(key, set, None)))];
            }
            let moved = store.move_outbox(row.clone()).await;
            [text(moved), text(Ok(disk.advance(key, set, Some(row))))]
        }
        Step::Agent { name, remove } => {
            let (name, audit) = (NAMES[name], entry(&number.to_string()));
            if remove {
                let removed = store.remove_agent(name, audit.clone()).await;
                return [text(removed), text(Ok(disk.remove_agent(name, &audit)))];
            }
            let document = Bytes::from(number.to_string());
            let put = store.put_agent(name, document.clone(), Some(audit.clone())).await;
            disk.put_agent(name, document, Some(&audit));
            [text(put), text(Ok(()))]
        }
        Step::Document { name } => {
            let document = Bytes::from(number.to_string());
            let audit = Some(entry(&number.to_string())).filter(|_| number.is_multiple_of(2));
            let put = store.put_document(NAMES[name], document.clone(), audit.clone()).await;
            disk.put_document(NAMES[name], document, audit.as_ref());
            [text(put), text(Ok(()))]
        }
    }
}

/// All that can be read, of both.
async fn seen(store: &Arc<dyn Store>, disk: &Disk) -> [Vec<String>; 2] {
    let (mut real, mut simulated) = (Vec::new(), Vec::new());
    let mut both = |one: String, other: String| {
        real.push(one);
        simulated.push(other);
    };
    for root in 1..4 {
        for (from, limit) in [(0, usize::MAX), (1, 2)] {
            let page = disk.read_page(id(root), from, limit);
            both(text(store.read_page(id(root), from, limit).await), text(Ok(page)));
        }
        both(text(store.locate(id(root * 10)).await), text(Ok(disk.locate(id(root * 10)))));
        let after = Some(id(root));
        both(text(store.open_trees(after, 2).await), text(Ok(disk.open_trees(after, 2))));
    }
    for name in NAMES {
        both(text(store.claim("p/alice", name).await), text(Ok(disk.claim("p/alice", name))));
        both(text(store.document(name).await), text(Ok(disk.document(name))));
        for limit in 1..3 {
            let query = RowQuery { owner: Some(name.to_owned()), limit, ..RowQuery::default() };
            both(text(store.rows(query.clone()).await), text(Ok(disk.rows(&query))));
        }
    }
    for (before, after, limit) in [(99, None, 9), (9, None, 1), (99, Some(4), 2)] {
        let before = Timestamp::from_millis(before);
        let after = after.map(|at| Over { since: Timestamp::from_millis(at), root: id(2) });
        both(text(store.over(before, after, limit).await), text(Ok(disk.over(before, after, limit))));
    }
    both(text(store.open_trees(None, 9).await), text(Ok(disk.open_trees(None, 9))));
    both(text(store.outbox(None, 99).await), text(Ok(disk.outbox(None, 99))));
    both(text(store.agents().await), text(Ok(disk.agents())));
    both(text(store.audit_log(1, 99).await), text(Ok(disk.audit_log(1, 99))));
    both(text(store.audit_head().await), text(Ok(disk.head())));
    [real, simulated]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_simulated_disk_answers_as_every_store(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for place in places().await {
            let store = place.open().await;
            let mut disk = Disk::default();
            for (number, step) in (0..).zip(&steps) {
                let [real, simulated] = take(&store, &mut disk, step, number).await;
                assert_eq!(real, simulated, "{step:?}");
                let [real, simulated] = seen(&store, &disk).await;
                assert_eq!(real, simulated, "after {step:?}");
            }
            }
        });
    }
}
