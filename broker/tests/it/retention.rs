//! A broker that lets go of what is over: not before it is over and every receiver has everything, then for everybody, and
//! for good.

use std::time::{Duration, Instant};

use broker::service::Swept;
use protocol::{ErrorKind, TaskState};
use uuid::Uuid;

use super::push_histories::world::{Mood, World};

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_tree_goes_once_it_is_over_and_delivered_and_its_message_is_not_done_again() {
    let mut world = World::new();
    let task = world.begin();
    world.receivers.feel(Mood::Refuses);
    world.set(task, "receiver");
    assert_eq!(world.sweep(), Swept::default(), "it is open");
    world.say();
    world.end();
    let began = Instant::now();
    while world.get(task).unwrap().status.state != TaskState::Completed {
        assert!(began.elapsed() < PATIENCE);
        world.breathe();
    }
    assert_eq!(world.sweep(), Swept::default(), "its receiver does not have it all");
    assert_eq!(world.listed(), (1, 1));
    world.receivers.feel(Mood::Takes);
    world.until_all_is_sent();
    assert_eq!(world.sweep(), Swept { trees: 1, tasks: 1, ..Swept::default() });

    for restarted in [false, true] {
        if restarted {
            world.crash();
        }
        let gone = world.get(task).unwrap_err();
        let never_was = world.get(broker_core::TaskId(Uuid::from_u128(1))).unwrap_err();
        assert_eq!((gone.kind, &gone.message), (ErrorKind::TaskNotFound, &never_was.message));
        assert_eq!(world.listed(), (0, 0));
        let again = world.send_again().unwrap_err();
        assert_eq!(again.kind, ErrorKind::TaskNotFound);
        assert!(again.message.contains(&task.to_string()), "{}", again.message);
        assert!(world.journal(task).is_empty());
        assert_eq!(world.sweep(), Swept::default(), "its message id is remembered for an hour");
    }
}
