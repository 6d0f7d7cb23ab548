//! 0.3 and back: what 0.3 can express comes back as it was, cards of one version can be read as the other's, and
//! nothing that can arrive makes the translation panic.

use proptest::prelude::*;
use protocol::v03::{
    Dialect, add_to_card, error_from_http, error_to_http, method_of, operation_of, path_in_v1, read_answer,
    read_card, read_request, write_answer, write_request,
};
use protocol::{A2aError, ErrorKind, Operation, SendMessageRequest, StreamResponse, Task, Version};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

const DIALECTS: [Dialect; 2] = [Dialect::JsonRpc, Dialect::HttpJson];

fn raw(value: &Value) -> Box<RawValue> {
    to_raw_value(value).unwrap()
}

fn value(raw: &RawValue) -> Value {
    serde_json::from_str(raw.get()).unwrap()
}

/// An object of those members that are there.
fn object(members: Vec<(&'static str, Option<Value>)>) -> Value {
    let set = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(set.collect::<Map<_, _>>())
}

fn text() -> impl Strategy<Value = String> {
    "[a-zü0-9 \"\\\\]{1,6}"
}

fn maybe<S: Strategy<Value = String>>(strategy: S) -> impl Strategy<Value = Option<Value>> {
    prop::option::of(strategy.prop_map(Value::from))
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,4}", inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn metadata() -> impl Strategy<Value = Option<Value>> {
    let members = prop::collection::btree_map("urn:[a-z]{1,3}", anything(), 1..3);
    prop::option::of(members.prop_map(|members| Value::Object(members.into_iter().collect())))
}

/// A member neither version knows.
fn future() -> impl Strategy<Value = Option<Value>> {
    prop::option::of(anything().prop_filter("null is unset", |value| !value.is_null()))
}

#[test]
fn a_member_that_means_something_else_in_the_other_version_does_not_stand_in_for_it() {
    let message = json!({ "messageId": "m", "role": "ROLE_AGENT", "kind": "task", "content": 1, "parts": [{ "text": "a" }] });
    for (dialect, parts) in [(Dialect::JsonRpc, "parts"), (Dialect::HttpJson, "content")] {
        let answer = raw(&json!({ "message": message }));
        let written = value(&write_answer(Operation::SendMessage, &answer, dialect).unwrap());
        let written = if dialect == Dialect::HttpJson { written["message"].clone() } else { written };
        assert_eq!(written[parts][0]["text"], "a", "{dialect:?}: {written}");
        let kind = if dialect == Dialect::JsonRpc { json!("message") } else { Value::Null };
        assert_eq!(written["kind"], kind, "{dialect:?}");
    }
}

fn part() -> impl Strategy<Value = Value> {
    let file = (any::<bool>(), prop::collection::vec(any::<u8>(), 0..9), maybe(text()), maybe(text()));
    let content = prop_oneof![
        text().prop_map(|text| vec![("text", Some(text.into()))]),
        anything().prop_map(|data| vec![("data", Some(data))]),
        file.prop_map(|(by_url, bytes, media_type, name)| {
            use base64::Engine;
            let bytes = base64::engine::general_purpose::STANDARD.encode(bytes);
            let content = if by_url { ("url", "https://x/y".into()) } else { ("raw", bytes.into()) };
            vec![(content.0, Some(content.1)), ("mediaType", media_type), ("filename", name)]
        }),
    ];
    (content, metadata(), future()).prop_map(|(mut members, metadata, future)| {
        members.extend([("metadata", metadata), ("futurePart", future)]);
        object(members)
    })
}

fn message() -> impl Strategy<Value = Value> {
    let parts = prop::collection::vec(part(), 1..4).prop_map(Value::from);
    (text(), maybe(text()), maybe(text()), any::<bool>(), parts, metadata(), future()).prop_map(
        |(id, context, task, user, parts, metadata, future)| {
            let role = if user { "ROLE_USER" } else { "ROLE_AGENT" };
            object(vec![
                ("messageId", Some(id.into())),
                ("contextId", context),
                ("taskId", task),
                ("role", Some(role.into())),
                ("parts", Some(parts)),
                ("metadata", metadata),
                ("future", future),
            ])
        },
    )
}

fn status() -> impl Strategy<Value = Value> {
    let state = prop::sample::select(protocol::TaskState::ALL).prop_map(|state| Value::from(state.as_str()));
    let at = prop::option::of(Just(Value::from("2026-01-02T03:04:05.678Z")));
    (state, prop::option::of(message()), at).prop_map(|(state, message, at)| {
        object(vec![("state", Some(state)), ("message", message), ("timestamp", at)])
    })
}

fn artifact() -> impl Strategy<Value = Value> {
    let parts = prop::collection::vec(part(), 1..3).prop_map(Value::from);
    (text(), maybe(text()), parts, metadata()).prop_map(|(id, name, parts, metadata)| {
        object(vec![
            ("artifactId", Some(id.into())),
            ("name", name),
            ("parts", Some(parts)),
            ("metadata", metadata),
        ])
    })
}

fn task() -> impl Strategy<Value = Value> {
    let artifacts = prop::option::of(prop::collection::vec(artifact(), 1..3).prop_map(Value::from));
    let history = prop::option::of(prop::collection::vec(message(), 1..3).prop_map(Value::from));
    (text(), maybe(text()), status(), artifacts, history, metadata(), future()).prop_map(
        |(id, context, status, artifacts, history, metadata, future)| {
            object(vec![
                ("id", Some(id.into())),
                ("contextId", context),
                ("status", Some(status)),
                ("artifacts", artifacts),
                ("history", history),
                ("metadata", metadata),
                ("future", future),
            ])
        },
    )
}

fn event() -> impl Strategy<Value = Value> {
    let update =
        (text(), maybe(text()), status(), metadata()).prop_map(|(task, context, status, metadata)| {
            object(vec![
                ("taskId", Some(task.into())),
                ("contextId", context),
                ("status", Some(status)),
                ("metadata", metadata),
            ])
        });
    let piece = (text(), artifact(), any::<bool>(), any::<bool>()).prop_map(|(task, artifact, append, last)| {
        json!({ "taskId": task, "artifact": artifact, "append": append, "lastChunk": last })
    });
    prop_oneof![
        task().prop_map(|task| json!({ "task": task })),
        message().prop_map(|message| json!({ "message": message })),
        update.prop_map(|update| json!({ "statusUpdate": update })),
        piece.prop_map(|piece| json!({ "artifactUpdate": piece })),
    ]
}

fn request() -> impl Strategy<Value = Value> {
    let push = (text(), maybe(text())).prop_map(|(scheme, credentials)| {
        let authentication = object(vec![("scheme", Some(scheme.into())), ("credentials", credentials)]);
        json!({ "url": "https://x/hook", "token": "t", "authentication": authentication })
    });
    let configuration = (any::<bool>(), prop::option::of(1_u32..9), prop::option::of(push)).prop_map(
        |(at_once, history, push)| {
            object(vec![
                ("taskPushNotificationConfig", push),
                ("historyLength", history.map(Value::from)),
                ("returnImmediately", Some(at_once.into())),
            ])
        },
    );
    (message(), configuration, metadata()).prop_map(|(message, configuration, metadata)| {
        let configuration = ("configuration", Some(configuration));
        object(vec![("message", Some(message)), configuration, ("metadata", metadata)])
    })
}

proptest! {
    #[test]
    fn a_task_survives_the_way_to_0_3_and_back(task in task()) {
        let before: Task = serde_json::from_value(task.clone()).unwrap();
        for dialect in DIALECTS {
            let old = write_answer(Operation::GetTask, &raw(&task), dialect).unwrap();
            let back = read_answer(Operation::GetTask, &old).unwrap();
            let after: Task = serde_json::from_str(back.get()).unwrap();
            prop_assert_eq!(json!(&before), json!(&after), "{:?}: {}", dialect, old.get());
        }
    }

    #[test]
    fn an_event_survives_the_way_to_0_3_and_back(event in event()) {
        let before: StreamResponse = serde_json::from_value(event.clone()).unwrap();
        for dialect in DIALECTS {
            let old = write_answer(Operation::SendStreamingMessage, &raw(&event), dialect).unwrap();
            let back = read_answer(Operation::SendStreamingMessage, &old).unwrap();
            let after: StreamResponse = serde_json::from_str(back.get()).unwrap();
            prop_assert_eq!(json!(&before), json!(&after), "{:?}: {}", dialect, old.get());
        }
    }

    #[test]
    fn a_request_survives_the_way_to_0_3_and_back(request in request()) {
        let before: SendMessageRequest = serde_json::from_value(request.clone()).unwrap();
        for dialect in DIALECTS {
            let old = write_request(Operation::SendMessage, &raw(&request), dialect).unwrap();
            let back = read_request(Operation::SendMessage, &old, dialect).unwrap();
            let after: SendMessageRequest = serde_json::from_str(back.get()).unwrap();
            prop_assert_eq!(json!(&before), json!(&after), "{:?}: {}", dialect, old.get());
        }
    }

    #[test]
    fn anything_that_is_json_is_survived(json in anything(), almost in almost_0_3()) {
        for given in [&json, &almost] {
            let given = raw(given);
            for &operation in Operation::ALL {
                let _ = read_answer(operation, &given);
                for dialect in DIALECTS {
                    let _ = read_request(operation, &given, dialect);
                    let _ = write_request(operation, &given, dialect);
                    let _ = write_answer(operation, &given, dialect);
                }
            }
            let _ = read_card(given.get().as_bytes());
            let _ = error_from_http(400, given.get().as_bytes());
        }
    }

    #[test]
    fn arbitrary_bytes_are_no_card(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = read_card(&bytes);
        let _ = error_from_http(500, &bytes);
    }
}

/// Objects of 0.3 with wrong things in the right places.
fn almost_0_3() -> impl Strategy<Value = Value> {
    const NAMES: [&str; 26] = [
        "kind",
        "task",
        "message",
        "parts",
        "content",
        "file",
        "bytes",
        "fileWithBytes",
        "data",
        "metadata",
        "status",
        "state",
        "role",
        "configuration",
        "blocking",
        "pushNotificationConfig",
        "authentication",
        "schemes",
        "name",
        "config",
        "url",
        "additionalInterfaces",
        "securitySchemes",
        "security",
        "skills",
        "type",
    ];
    const WORDS: [&str; 12] = [
        "task",
        "message",
        "status-update",
        "text",
        "file",
        "data",
        "user",
        "working",
        "AAEC",
        "QUFFQw==",
        "http",
        "",
    ];
    let leaf = prop_oneof![
        prop::sample::select(&WORDS[..]).prop_map(Value::from),
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(&NAMES[..]), inner, 0..6).prop_map(|members| {
                Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            }),
        ]
    })
}

#[test]
fn what_0_3_cannot_express_is_this() {
    let cases = [
        ("a tenant", json!({ "tenant": "t" }), Dialect::JsonRpc),
        ("which tasks a message refers to", json!({ "referenceTaskIds": ["t"] }), Dialect::HttpJson),
    ];
    for (what, lost, dialect) in cases {
        let mut request =
            json!({ "message": { "messageId": "m", "role": "ROLE_USER", "parts": [{ "text": "x" }] } });
        let place = if lost.get("tenant").is_some() { &mut request } else { &mut request["message"] };
        let plain = place.clone();
        place.as_object_mut().unwrap().extend(lost.as_object().unwrap().clone());
        let old = write_request(Operation::SendMessage, &raw(&request), dialect).unwrap();
        let back = value(&read_request(Operation::SendMessage, &old, dialect).unwrap());
        let there = if lost.get("tenant").is_some() { &back } else { &back["message"] };
        for member in lost.as_object().unwrap().keys() {
            assert!(there.get(member).is_none() && plain.get(member).is_none(), "{what}: {back}");
        }
    }
    let typed = json!({ "message": { "messageId": "m", "role": "ROLE_USER",
        "parts": [{ "text": "x", "mediaType": "text/markdown", "filename": "n" }] } });
    let old = write_request(Operation::SendMessage, &raw(&typed), Dialect::HttpJson).unwrap();
    assert_eq!(value(&old)["message"]["content"][0], json!({ "text": "x" }), "only files have a type there");
    let kinded = write_request(Operation::SendMessage, &raw(&typed), Dialect::JsonRpc).unwrap();
    assert_eq!(value(&kinded)["message"]["parts"][0]["mediaType"], "text/markdown");
    let unlimited =
        read_request(Operation::GetTask, &raw(&json!({ "id": "t", "historyLength": 0 })), DIALECTS[0]);
    assert_eq!(value(&unlimited.unwrap()), json!({ "id": "t" }), "zero is no limit in 0.3");
    let unknown = json!({ "kind": "task", "id": "t", "contextId": "c", "status": { "state": "unknown" } });
    assert!(read_answer(Operation::GetTask, &raw(&unknown)).is_err(), "1.0 has no unknown state");
}

#[test]
fn both_dialects_are_written_as_the_official_sdk_writes_them() {
    let request = json!({ "message": { "messageId": "m", "role": "ROLE_USER", "parts": [
            { "text": "x", "metadata": { "a": 1 } },
            { "raw": "AAEC", "mediaType": "a/b", "filename": "n" },
            { "url": "http://x" }, { "data": { "k": [1, null] } }, { "data": 7 } ] },
        "configuration": { "returnImmediately": true } });
    let old = |dialect| value(&write_request(Operation::SendMessage, &raw(&request), dialect).unwrap());
    let wrapped = json!({ "data_part_compat": true });
    assert_eq!(
        old(Dialect::JsonRpc),
        json!({ "message": { "kind": "message", "messageId": "m", "role": "user", "parts": [
            { "kind": "text", "text": "x", "metadata": { "a": 1 } },
            { "kind": "file", "file": { "bytes": "AAEC", "mimeType": "a/b", "name": "n" } },
            { "kind": "file", "file": { "uri": "http://x" } },
            { "kind": "data", "data": { "k": [1, null] } },
            { "kind": "data", "data": { "value": 7 }, "metadata": wrapped } ] },
            "configuration": { "blocking": false } })
    );
    assert_eq!(
        old(Dialect::HttpJson),
        json!({ "message": { "messageId": "m", "role": "ROLE_USER", "content": [
            { "text": "x", "metadata": { "a": 1 } },
            { "file": { "fileWithBytes": "QUFFQw==", "mimeType": "a/b", "name": "n" } },
            { "file": { "fileWithUri": "http://x" } },
            { "data": { "data": { "k": [1, null] } } },
            { "data": { "data": { "value": 7 } }, "metadata": wrapped } ] },
            "configuration": { "blocking": false } })
    );
    let update = json!({ "statusUpdate": { "taskId": "t", "contextId": "c",
        "status": { "state": "TASK_STATE_CANCELED" } } });
    let written = |dialect| value(&write_answer(Operation::SubscribeToTask, &raw(&update), dialect).unwrap());
    assert_eq!(
        written(Dialect::JsonRpc),
        json!({ "kind": "status-update", "taskId": "t", "contextId": "c", "status": { "state": "canceled" },
            "final": true })
    );
    assert_eq!(
        written(Dialect::HttpJson),
        json!({ "statusUpdate": { "taskId": "t", "contextId": "c", "status": { "state": "TASK_STATE_CANCELLED" },
            "final": true } })
    );
}

#[test]
fn a_stream_ends_with_the_event_that_says_so() {
    for (state, of_send, of_subscribe) in [
        ("TASK_STATE_WORKING", false, false),
        ("TASK_STATE_INPUT_REQUIRED", true, false),
        ("TASK_STATE_AUTH_REQUIRED", true, false),
        ("TASK_STATE_FAILED", true, true),
    ] {
        let update = raw(&json!({ "statusUpdate": { "taskId": "t", "status": { "state": state } } }));
        let is_final =
            |operation| value(&write_answer(operation, &update, DIALECTS[0]).unwrap())["final"].clone();
        assert_eq!(is_final(Operation::SendStreamingMessage), of_send, "{state}");
        assert_eq!(is_final(Operation::SubscribeToTask), of_subscribe, "{state}");
    }
}

#[test]
fn silence_about_waiting_means_what_each_dialect_means_by_it() {
    let part = json!({ "kind": "text", "text": "x" });
    let kinded = json!({ "message": { "messageId": "m", "role": "user", "parts": [part] } });
    let proto = json!({ "message": { "messageId": "m", "role": "ROLE_USER", "content": [{ "text": "x" }] } });
    let at_once = |request: &Value, dialect| {
        let read = read_request(Operation::SendMessage, &raw(request), dialect).unwrap();
        serde_json::from_str::<SendMessageRequest>(read.get()).unwrap().returns_immediately()
    };
    assert!(!at_once(&kinded, Dialect::JsonRpc), "0.3's servers wait unless told otherwise");
    assert!(!at_once(&kinded, Dialect::HttpJson));
    assert!(at_once(&proto, Dialect::HttpJson), "protobuf leaves out what is false");
}

#[test]
fn push_configurations_are_nested_in_0_3_and_flat_in_1_0() {
    let flat = json!({ "url": "https://x", "id": "p", "authentication": { "scheme": "Bearer", "credentials": "c" },
        "taskId": "t" });
    let nested = json!({ "taskId": "t", "pushNotificationConfig": { "url": "https://x", "id": "p",
        "authentication": { "schemes": ["Bearer"], "credentials": "c" } } });
    let create = Operation::CreateTaskPushNotificationConfig;
    assert_eq!(value(&read_request(create, &raw(&nested), Dialect::JsonRpc).unwrap()), flat);
    assert_eq!(value(&write_answer(create, &raw(&flat), Dialect::JsonRpc).unwrap()), nested);
    let mut by_name = json!({ "name": "tasks/t/pushNotificationConfigs/p" });
    by_name["pushNotificationConfig"] = nested["pushNotificationConfig"].clone();
    assert_eq!(value(&write_answer(create, &raw(&flat), Dialect::HttpJson).unwrap()), by_name);
    let wrapped = json!({ "parent": "tasks/t", "configId": "p", "config": by_name });
    assert_eq!(value(&read_request(create, &raw(&wrapped), Dialect::HttpJson).unwrap()), flat);
    // As a path and a body of nothing but the configuration come to be: neither parent nor name.
    let bare =
        json!({ "taskId": "t", "config": { "pushNotificationConfig": nested["pushNotificationConfig"] } });
    assert_eq!(value(&read_request(create, &raw(&bare), Dialect::HttpJson).unwrap()), flat);
    let mut elsewhere = json!({ "taskId": "t", "parent": "tasks/other", "config": by_name });
    elsewhere["config"]["name"] = json!("tasks/other/pushNotificationConfigs/p");
    let read = value(&read_request(create, &raw(&elsewhere), Dialect::HttpJson).unwrap());
    assert_eq!(read["taskId"], "t", "the path decides");
    let list = Operation::ListTaskPushNotificationConfigs;
    let page = json!({ "configs": [flat], "nextPageToken": "" });
    assert_eq!(value(&write_answer(list, &raw(&page), Dialect::JsonRpc).unwrap()), json!([nested]));
    let reference = json!({ "id": "t", "pushNotificationConfigId": "p" });
    let get = Operation::GetTaskPushNotificationConfig;
    assert_eq!(
        value(&read_request(get, &raw(&reference), Dialect::JsonRpc).unwrap()),
        json!({ "taskId": "t", "id": "p" })
    );
}

#[test]
fn a_card_of_0_3_is_read_as_one_of_1_0() {
    let card = json!({
        "name": "a", "description": "d", "version": "1", "url": "https://a/rpc", "protocolVersion": "0.3.0",
        "additionalInterfaces": [
            { "url": "https://a/rpc", "transport": "JSONRPC" }, { "url": "https://a/rest", "transport": "HTTP+JSON" }],
        "capabilities": { "streaming": true }, "supportsAuthenticatedExtendedCard": true,
        "securitySchemes": { "key": { "type": "apiKey", "in": "header", "name": "X-Key" },
            "oidc": { "type": "openIdConnect", "openIdConnectUrl": "https://i" } },
        "security": [{ "key": [], "oidc": ["read"] }],
        "skills": [{ "id": "s", "name": "S", "description": "", "tags": [], "security": [{ "key": [] }] }],
        "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"], "iconUrl": "https://a/icon",
    });
    let read = read_card(card.to_string().as_bytes()).unwrap();
    let reachable: Vec<_> = read.supported_interfaces.iter().map(|i| (i.url.as_str(), i.version())).collect();
    assert_eq!(reachable, [("https://a/rpc", Some(Version::V03)), ("https://a/rest", Some(Version::V03))]);
    let new = json!(&read);
    assert_eq!(
        new["securitySchemes"]["key"],
        json!({ "apiKeySecurityScheme": {
        "location": "header", "name": "X-Key" } })
    );
    let expected = json!([{ "schemes": { "key": { "list": [] }, "oidc": { "list": ["read"] } } }]);
    assert_eq!(new["securityRequirements"], expected);
    assert_eq!(new["skills"][0]["securityRequirements"], json!([{ "schemes": { "key": { "list": [] } } }]));
    assert_eq!(
        (&new["capabilities"]["extendedAgentCard"], &new["iconUrl"]),
        (&json!(true), &card["iconUrl"])
    );
    assert!(new.get("url").is_none() && new.get("security").is_none(), "{new}");

    let mut both = read;
    add_to_card(&mut both).unwrap();
    let both = json!(&both);
    for member in ["url", "security", "supportsAuthenticatedExtendedCard", "additionalInterfaces"] {
        assert_eq!(both[member], card[member], "{member}");
    }
    let key = &both["securitySchemes"]["key"];
    assert_eq!(
        (&key["type"], &key["in"], &key["name"]),
        (&json!("apiKey"), &json!("header"), &json!("X-Key"))
    );
    assert!(key["apiKeySecurityScheme"].is_object() && both["supportedInterfaces"].is_array());
    assert_eq!(both["skills"][0]["tags"], json!([]), "0.3 demands it");
}

#[test]
fn names_paths_and_errors_lead_both_ways() {
    for &operation in Operation::ALL {
        let method = method_of(operation);
        assert_eq!(method.and_then(operation_of), method.map(|_| operation));
        assert_eq!(method.is_none(), operation == Operation::ListTasks);
    }
    assert_eq!(path_in_v1("/v1/message:send"), Some("/message:send"));
    assert_eq!(path_in_v1("/v1/card"), Some("/extendedAgentCard"));
    for other in ["/message:send", "/v1", "/v10/tasks", "/v2/tasks"] {
        assert_eq!(path_in_v1(other), None, "{other}");
    }
    for &kind in ErrorKind::ALL {
        let body = error_to_http(&A2aError::new(kind, "why")).to_string();
        let read = error_from_http(kind.http_status(), body.as_bytes());
        assert_eq!(read.kind.jsonrpc_code(), kind.jsonrpc_code());
    }
    for (status, kind) in [(404, ErrorKind::TaskNotFound), (409, ErrorKind::TaskNotCancelable)] {
        let read = error_from_http(status, br#"{"message": "no"}"#);
        assert_eq!((read.kind, read.message), (kind, format!("no (HTTP {status})")), "the SDK's shape");
    }
}
