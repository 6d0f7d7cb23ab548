//! Operations: methods, paths, versions.

use protocol::binding::http_json::{Matched, Unmatched, match_path, path_for};
use protocol::{Operation, check_version};

#[test]
fn every_operation_is_found_at_its_own_path() {
    for &operation in Operation::ALL {
        let (method, _) = operation.route();
        let path = path_for(operation, "an id/ü").replace("{configId}", "c");
        let task_id = path.contains("/tasks/").then(|| "an id/ü".to_owned());
        let config_id = path.ends_with("/c").then(|| "c".to_owned());
        assert_eq!(match_path(method, &path), Ok(Matched { operation, task_id, config_id }), "{path}");
        assert_eq!(Operation::of_method(operation.method()), Some(operation));
    }
}

#[test]
fn near_misses_are_told_apart() {
    let found = |method, path| match_path(method, path).map(|matched| matched.operation);
    assert_eq!(found("POST", "/tasks/x:subscribe"), Ok(Operation::SubscribeToTask), "the text says POST");
    assert_eq!(found("GET", "/tasks/"), Ok(Operation::ListTasks));
    assert_eq!(found("GET", "/tasks/x:cancel"), Err(Unmatched::MethodNotAllowed { allow: "POST" }));
    assert_eq!(found("DELETE", "/tasks/x"), Err(Unmatched::MethodNotAllowed { allow: "GET" }));
    assert_eq!(found("GET", "/tasks/x/y"), Err(Unmatched::NotFound));
    assert_eq!(found("GET", "/"), Err(Unmatched::NotFound));
}

#[test]
fn only_version_one_is_spoken() {
    for good in ["1.0", "1.0.0", "1.0.17", " 1.0 "] {
        assert!(check_version(Some(good), None).is_ok(), "{good}");
        assert!(check_version(None, Some(good)).is_ok(), "{good}");
    }
    for bad in ["", "0.3", "1", "1.1", "2.0", "1.0.x", "1.0.0.0", "v1.0"] {
        assert!(check_version(Some(bad), None).is_err(), "{bad}");
    }
    assert!(check_version(None, None).is_err(), "absent means 0.3");
}
