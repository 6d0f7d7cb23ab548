//! Nothing that can arrive makes a parser panic, and nothing deep makes it recurse.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use protocol::binding::http_json::{match_path, percent_decode, percent_encode, query_pairs};
use protocol::binding::jsonrpc::{read_request, read_response};
use protocol::binding::sse::Decoder;
use protocol::v03::{self, Dialect};
use protocol::{
    AgentCard, ErrorKind, ListTasksRequest, Operation, SendMessageRequest, SignedForm, StreamResponse, Task,
    read_pairs,
};
use serde_json::value::RawValue;

fn read_everything(bytes: &[u8]) {
    let _ = read_request(bytes);
    let _ = read_response::<StreamResponse>(bytes);
    let _ = serde_json::from_slice::<SendMessageRequest>(bytes);
    let _ = serde_json::from_slice::<Task>(bytes);
    let _ = serde_json::from_slice::<AgentCard>(bytes);
    let _ = Decoder::new(64).push(bytes, &mut Vec::new());
    let text = String::from_utf8_lossy(bytes);
    let _ = match_path("GET", &text);
    let _ = read_pairs::<ListTasksRequest>(query_pairs(&text));
    let _ = percent_decode(&text);
}

#[test]
fn deep_nesting_is_refused_and_shallow_is_not() {
    let nested = |depth: usize| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{{"id":"x","y":{}{}}}}}"#,
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    assert!(read_request(nested(100).as_bytes()).is_ok());
    for depth in [127, 1_000, 1_000_000] {
        let rejected = read_request(nested(depth).as_bytes()).unwrap_err();
        assert_eq!(rejected.error.kind, ErrorKind::ParseError);
    }
    assert!(
        read_request(br#"{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{"id":"[[[[\"[["}}"#).is_ok(),
        "brackets in text do not count"
    );
}

#[test]
fn what_is_passed_over_has_to_be_text_too() {
    for member in ["x", "params"] {
        let ask = |text: &[u8]| {
            let before = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"GetTask","result":1,"{member}":""#);
            [before.as_bytes(), text, b"\"}"].concat()
        };
        let rejected = read_request(&ask(b"\xff")).unwrap_err();
        assert_eq!((rejected.error.kind, rejected.id.as_json()), (ErrorKind::ParseError, "null"));
        assert!(read_response::<u8>(&ask(b"\xff")).is_err() && read_response::<u8>(&ask(b"x")).is_ok());
    }
}

#[test]
fn an_id_that_is_no_text_is_not_given_back() {
    let ask =
        |id: &str| read_request(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"GetTask"}}"#).as_bytes());
    let rejected = ask(r#""\ud800""#).unwrap_err();
    assert_eq!((rejected.error.kind, rejected.id.as_json()), (ErrorKind::InvalidRequest, "null"));
    for id in [r#""\ud83d\ude00""#, r#""\u0000""#, "1e999", "-0", "null"] {
        assert_eq!(ask(id).unwrap().id.as_json(), id, "as it came");
    }
}

#[test]
fn a_list_of_what_an_envelope_holds_is_no_envelope() {
    let rejected = read_request(br#"["2.0",1,"GetTask",{"id":"x"}]"#).unwrap_err();
    assert_eq!(rejected.error.kind, ErrorKind::InvalidRequest, "{}", rejected.error);
    let batch = read_request(br#" [{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{"id":"x"}}]"#);
    assert_eq!(batch.unwrap_err().error.kind, ErrorKind::InvalidRequest);
    let task = r#"{"id":"t","status":{"state":"TASK_STATE_WORKING"}}"#;
    assert!(read_response::<Task>(format!(r#"{{"result":{task}}}"#).as_bytes()).is_ok());
    assert!(read_response::<Task>(format!("[{task},null]").as_bytes()).is_err());
}

#[test]
fn a_number_beyond_the_protos_is_refused_on_every_binding() {
    let read =
        |number: &str| serde_json::from_str::<ListTasksRequest>(&format!(r#"{{"historyLength":{number}}}"#));
    assert_eq!(read("2147483647").unwrap().history_length, Some(2_147_483_647));
    for beyond in ["2147483648", "\"4000000000\"", "-1", "1.5"] {
        assert!(read(beyond).unwrap_err().to_string().contains("0 to 2147483647"), "{beyond}");
    }
}

#[test]
fn an_object_of_very_many_members_is_read_in_one_go() {
    let members: Vec<String> = (0..200_000).map(|number| format!("\"k{number}\":0")).collect();
    let read = |members: &str| serde_json::from_str::<protocol::Metadata>(&format!("{{{members}}}"));
    assert!(read(&members.join(",")).is_ok());
    let twice = read(&format!("{},\"k7\":1", members.join(","))).unwrap_err().to_string();
    assert!(twice.contains("`k7` appears twice"), "{twice}");
}

/// Fails if work takes so long that it must be growing with the square of its input.
fn in_one_go(what: &'static str, work: impl FnOnce() + Send + 'static) {
    const LIMIT: Duration = Duration::from_mins(3);
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        work();
        let _ = done.send(());
    });
    is_done.recv_timeout(LIMIT).unwrap_or_else(|problem| panic!("{what}: {problem}"));
}

#[test]
fn an_object_of_very_many_members_is_translated_in_one_go() {
    let many = |prefix: &str| {
        let members: Vec<String> = (0..250_000).map(|number| format!("\"{prefix}{number}\":0")).collect();
        members.join(",")
    };
    let raw = |json: String| RawValue::from_string(json).unwrap();
    let (k, l) = (many("k"), many("l"));

    let message = format!(r#""messageId":"m","role":"user","parts":[],{k}"#);
    let sent = raw(format!(r#"{{"message":{{{message}}}}}"#));
    in_one_go("a message of 0.3", move || {
        v03::read_request(Operation::SendMessage, &sent, Dialect::JsonRpc).unwrap();
    });
    let config = raw(format!(r#"{{"taskId":"t","pushNotificationConfig":{{"url":"u",{k}}},{l}}}"#));
    in_one_go("a push configuration of 0.3", move || {
        let flat = v03::read_request(Operation::CreateTaskPushNotificationConfig, &config, Dialect::JsonRpc);
        assert!(flat.unwrap().get().contains("l249999"));
    });
    let task = raw(format!(r#"{{"id":"t","status":{{"state":"TASK_STATE_WORKING"}},{k}}}"#));
    in_one_go("a task for a caller of 0.3", move || {
        v03::write_answer(Operation::GetTask, &task, Dialect::JsonRpc).unwrap();
    });
    let card = raw(format!(r#"{{"name":"a","supportedInterfaces":[],"metadata":{{{k}}},{l}}}"#));
    in_one_go("a card's signed content", move || {
        for form in [SignedForm::Whole, SignedForm::WithoutEmpty] {
            form.content(&card).unwrap();
        }
    });
}

fn json_like() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(":"),
        Just(","),
        Just("\"id\""),
        Just("\"method\""),
        Just("\"GetTask\""),
        Just("\"jsonrpc\":\"2.0\""),
        Just("null"),
        Just("1e999"),
        Just("\"params\""),
        Just("\"task\""),
        Just("\"status\""),
        Just("\"\\ud800\""),
    ];
    prop::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat())
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_everything(&bytes);
    }

    #[test]
    fn almost_json_is_survived(text in json_like()) {
        read_everything(text.as_bytes());
    }

    #[test]
    fn percent_encoding_is_undone(text in "\\PC{0,30}") {
        let encoded = percent_encode(&text);
        prop_assert_eq!(percent_decode(&encoded), text);
    }
}
