//! The suite's reading of protobuf hides nothing a check looks for.

use conformance_tests::suite::operation::{GET, LIST, SEND};
use conformance_tests::suite::protobuf::{request, response, write_response};
use serde_json::json;

#[test]
fn what_a_server_left_out_or_made_up_stays_visible() {
    let bytes = write_response(GET, &json!({ "status": { "state": 42 } })).unwrap();
    let seen = response(GET, &bytes).unwrap();
    assert_eq!((&seen["id"], &seen["status"]["state"]), (&json!(""), &json!(42)), "{seen}");
    assert!(seen.get("artifacts").is_none() && seen.get("history").is_none(), "{seen}");
    assert_eq!(response(LIST, &[]).unwrap()["nextPageToken"], "", "absent and empty are one");
    for broken in [&[0x0a, 0x7f, b'x'][..], &[0x0a, 2, 0xff, 0xfe], &[0xff; 11]] {
        assert!(response(GET, broken).is_err(), "{broken:?}");
    }
}

#[test]
fn what_protobuf_cannot_say_is_an_error_and_not_something_else() {
    for wrong in [
        json!({ "message": 7 }),
        json!({ "message": { "later": 1 } }),
        json!({ "message": { "role": "user" } }),
    ] {
        assert!(request(SEND, &wrong).is_err(), "{wrong}");
    }
}
