//! What every store promises of its list of trees.

use broker::ports::store::{Append, TaskRow, TreePage, TreeQuery};
use broker_core::Timestamp;
use protocol::TaskState;

use super::engines::places;
use super::store_contract::{append, id};

fn row(root: u128, task: u128, owner: &str, state: TaskState) -> TaskRow {
    TaskRow {
        task: id(task),
        root: id(root),
        owner: owner.to_owned(),
        agent: format!("a{}", root % 2),
        context_id: "c".to_owned(),
        state,
        updated: Timestamp::from_millis(i64::try_from(task).unwrap()),
    }
}

fn roots(page: &TreePage) -> Vec<u128> {
    page.roots.iter().map(|row| row.task.0.as_u128()).collect()
}

#[tokio::test]
async fn trees_come_the_newest_first_once_each_page_by_page_whoever_is_asked_for() {
    for place in places().await {
        let store = place.open().await;
        for root in [3, 1, 5, 2, 4] {
            let (owner, state) =
                if root == 2 { ("bob", TaskState::Failed) } else { ("alice", TaskState::Working) };
            // Their children are later than all of them, and in nobody's list.
            let rows = vec![row(root, root, owner, state), row(root, root + 100, owner, TaskState::Working)];
            store.append(Append { rows, ..append(root, 0, &["x"]) }).await.unwrap();
        }
        let all = TreeQuery { limit: 2, look_at: 100, ..TreeQuery::default() };
        let (mut seen, mut before) = (Vec::new(), None);
        loop {
            let page = store.trees(TreeQuery { before, ..all.clone() }).await.unwrap();
            seen.push(roots(&page));
            let Some(next) = page.next else { break };
            before = Some(next);
        }
        assert_eq!(seen, [vec![5, 4], vec![3, 2], vec![1]]);

        let wide = TreeQuery { limit: 10, ..all };
        let bobs = TreeQuery { owner: Some("bob".to_owned()), ..wide.clone() };
        assert_eq!(roots(&store.trees(bobs).await.unwrap()), [2]);
        let odd = TreeQuery { agent: Some("a1".to_owned()), ..wide.clone() };
        assert_eq!(roots(&store.trees(odd).await.unwrap()), [5, 3, 1]);
        let failed = TreeQuery { states: vec![TaskState::Failed, TaskState::Rejected], ..wide.clone() };
        assert_eq!(roots(&store.trees(failed.clone()).await.unwrap()), [2]);
        // Who has to look long is given what was found, and where to go on.
        let short = store.trees(TreeQuery { look_at: 2, ..failed }).await.unwrap();
        assert_eq!((roots(&short), short.next), (vec![], Some(id(4))));
        assert_eq!(
            store.trees(TreeQuery { before: Some(id(1)), ..wide }).await.unwrap(),
            TreePage::default()
        );
    }
}
