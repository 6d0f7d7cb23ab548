//! The gRPC binding's conversion, judged by the official generated types: what we write they read, what they write we
//! read, and what the wire can express comes back as it was.

use a2a_pb::protojson as official;
use proptest::prelude::*;
use prost::Message;
use protocol::binding::grpc::{
    MAX_DEPTH, PREFIX_BYTES, read_request, read_response, write_request, write_response,
};
use protocol::{ErrorKind, Operation, SendMessageRequest, StreamResponse, Task, Timestamp};
use serde_json::{Map, Value, json};

fn as_request(operation: Operation, json: &Value) -> Vec<u8> {
    let framed = write_request(operation, json).unwrap_or_else(|error| panic!("{error}: {json}"));
    framed[PREFIX_BYTES..].to_vec()
}

fn as_response(operation: Operation, json: &Value) -> Vec<u8> {
    let framed = write_response(operation, json.to_string().as_bytes());
    framed.unwrap_or_else(|error| panic!("{error}: {json}"))[PREFIX_BYTES..].to_vec()
}

/// All numbers as floating-point, which is what protobuf has of them, and members in order.
fn normal(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(normal).collect(),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(name, value)| (name.clone(), normal(value))).collect())
        }
        // They write the zone as +00:00.
        Value::String(text) => text.parse::<Timestamp>().map_or_else(|_| value.clone(), |at| json!(at)),
        other => other.clone(),
    }
}

/// Their reading of our bytes, and our reading of theirs.
fn agree<M>(ours: &[u8], json: &Value, read: impl Fn(&[u8]) -> Value)
where
    M: Message + Default + serde::Serialize + serde::de::DeserializeOwned,
{
    let theirs = M::decode(ours).unwrap_or_else(|error| panic!("they cannot read it: {error}: {json}"));
    assert_eq!(normal(&serde_json::to_value(&theirs).unwrap()), normal(json), "as they read it");
    let theirs: M = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(normal(&read(&theirs.encode_to_vec())), normal(json), "as we read theirs");
    assert_eq!(normal(&read(ours)), normal(json), "there and back");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (-(1_i64 << 53)..(1_i64 << 53)).prop_map(Value::from),
        // Few digits: serde_json reads longer fractions off by a bit now and then.
        any::<i16>().prop_map(|number| Value::from(f64::from(number) / 8.0)),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("\\PC{0,6}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// An object of these members, each of which may be missing.
fn some_of(members: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let members: Vec<_> = members
        .into_iter()
        .map(|(name, value)| prop::option::of(value).prop_map(move |value| (name, value)))
        .collect();
    members
        .prop_map(|members| {
            let present = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
            Value::Object(present.collect::<Map<_, _>>())
        })
        .boxed()
}

fn with(
    required: Vec<(&'static str, BoxedStrategy<Value>)>,
    optional: BoxedStrategy<Value>,
) -> BoxedStrategy<Value> {
    let names: Vec<&str> = required.iter().map(|(name, _)| *name).collect();
    let values: Vec<_> = required.into_iter().map(|(_, value)| value).collect();
    (values, optional)
        .prop_map(move |(values, mut whole)| {
            for (name, value) in names.iter().zip(values) {
                whole[*name] = value;
            }
            whole
        })
        .boxed()
}

fn text() -> BoxedStrategy<Value> {
    "\\PC{1,12}".prop_map(Value::from).boxed()
}

fn texts() -> BoxedStrategy<Value> {
    prop::collection::vec(text(), 1..3).prop_map(Value::from).boxed()
}

fn metadata() -> BoxedStrategy<Value> {
    prop::collection::btree_map("\\PC{0,8}", any_json(), 1..3)
        .prop_map(|members| Value::Object(members.into_iter().collect()))
        .boxed()
}

fn part() -> BoxedStrategy<Value> {
    let base64 = |bytes: Vec<u8>| {
        use base64::Engine;
        Value::from(base64::engine::general_purpose::STANDARD.encode(bytes))
    };
    let content = prop_oneof![
        "\\PC{0,20}".prop_map(|text| ("text", Value::from(text))),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(move |bytes| ("raw", base64(bytes))),
        "https://[a-z]{1,8}".prop_map(|url| ("url", Value::from(url))),
        // Their reading of JSON drops a part that is null; ours is held by an example below.
        any_json().prop_filter("null", |data| !data.is_null()).prop_map(|data| ("data", data)),
    ];
    let rest = some_of(vec![("metadata", metadata()), ("filename", text()), ("mediaType", text())]);
    (content, rest)
        .prop_map(|((name, value), mut part)| {
            part[name] = value;
            part
        })
        .boxed()
}

fn parts() -> BoxedStrategy<Value> {
    prop::collection::vec(part(), 1..3).prop_map(Value::from).boxed()
}

fn message() -> BoxedStrategy<Value> {
    let role = prop_oneof![Just(json!("ROLE_USER")), Just(json!("ROLE_AGENT"))].boxed();
    with(
        vec![("messageId", text()), ("role", role), ("parts", parts())],
        some_of(vec![
            ("contextId", text()),
            ("taskId", text()),
            ("metadata", metadata()),
            ("extensions", texts()),
            ("referenceTaskIds", texts()),
        ]),
    )
}

fn status() -> BoxedStrategy<Value> {
    let state = (1_usize..=8).prop_map(|index| json!(protocol::TaskState::ALL[index - 1])).boxed();
    let time = (-60_000_000_000_000_i64..250_000_000_000_000)
        .prop_map(|millis| json!(Timestamp::from_millis(millis)))
        .boxed();
    with(vec![("state", state)], some_of(vec![("message", message()), ("timestamp", time)]))
}

fn artifact() -> BoxedStrategy<Value> {
    with(
        vec![("artifactId", text()), ("parts", parts())],
        some_of(vec![
            ("name", text()),
            ("description", text()),
            ("metadata", metadata()),
            ("extensions", texts()),
        ]),
    )
}

fn task() -> BoxedStrategy<Value> {
    let some = |item: BoxedStrategy<Value>| prop::collection::vec(item, 1..3).prop_map(Value::from).boxed();
    with(
        vec![("id", text()), ("status", status())],
        some_of(vec![
            ("contextId", text()),
            ("artifacts", some(artifact())),
            ("history", some(message())),
            ("metadata", metadata()),
        ]),
    )
}

fn event() -> BoxedStrategy<Value> {
    let yes = || Just(json!(true)).boxed();
    let status_update = with(
        vec![("taskId", text()), ("contextId", text()), ("status", status())],
        some_of(vec![("metadata", metadata())]),
    );
    let artifact_update = with(
        vec![("taskId", text()), ("contextId", text()), ("artifact", artifact())],
        some_of(vec![("append", yes()), ("lastChunk", yes()), ("metadata", metadata())]),
    );
    prop_oneof![
        task().prop_map(|task| json!({ "task": task })),
        message().prop_map(|message| json!({ "message": message })),
        status_update.prop_map(|update| json!({ "statusUpdate": update })),
        artifact_update.prop_map(|update| json!({ "artifactUpdate": update })),
    ]
    .boxed()
}

fn request() -> BoxedStrategy<Value> {
    let push = with(
        vec![("url", text())],
        some_of(vec![
            ("id", text()),
            ("token", text()),
            ("authentication", Just(json!({ "scheme": "Bearer", "credentials": "c" })).boxed()),
        ]),
    );
    let configuration = some_of(vec![
        ("acceptedOutputModes", texts()),
        ("taskPushNotificationConfig", push),
        ("historyLength", (0..i32::MAX).prop_map(Value::from).boxed()),
        ("returnImmediately", Just(json!(true)).boxed()),
    ]);
    with(
        vec![("message", message())],
        some_of(vec![("tenant", text()), ("configuration", configuration), ("metadata", metadata())]),
    )
}

fn typed<T: serde::Serialize>(value: Result<T, impl std::fmt::Display>) -> Value {
    match value {
        Ok(value) => serde_json::to_value(value).unwrap(),
        Err(error) => panic!("{error}"),
    }
}

proptest! {
    #[test]
    fn requests_agree_with_the_official_types(json in request()) {
        let operation = Operation::SendMessage;
        let read = |bytes: &[u8]| typed(read_request::<SendMessageRequest>(operation, bytes));
        // An empty configuration is one to protobuf, and none to us.
        prop_assume!(json["configuration"] != json!({}));
        agree::<official::SendMessageRequest>(&as_request(operation, &json), &json, read);
    }

    #[test]
    fn events_agree_with_the_official_types(json in event()) {
        let operation = Operation::SubscribeToTask;
        let read = |bytes: &[u8]| typed(read_response::<StreamResponse>(operation, bytes));
        agree::<official::StreamResponse>(&as_response(operation, &json), &json, read);
    }

    #[test]
    fn tasks_agree_with_the_official_types(json in task()) {
        let operation = Operation::GetTask;
        let read = |bytes: &[u8]| typed(read_response::<Task>(operation, bytes));
        agree::<official::Task>(&as_response(operation, &json), &json, read);
    }

    #[test]
    fn arbitrary_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for &operation in Operation::ALL {
            let _ = read_request::<Value>(operation, &bytes);
            let _ = read_response::<Value>(operation, &bytes);
        }
    }

    /// One byte wrong: refused, or read as something else that JSON can say.
    #[test]
    fn damaged_messages_are_survived(json in request(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = as_request(Operation::SendMessage, &json);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = read_request::<Value>(Operation::SendMessage, &bytes);
        let _ = read_request::<Value>(Operation::SendMessage, &bytes[..at]);
    }
}

#[test]
fn the_other_messages_agree_with_the_official_types() {
    let same = |operation, json: Value| (operation, json);
    let read = |operation| move |bytes: &[u8]| typed(read_request::<Value>(operation, bytes));
    let (operation, list) = same(
        Operation::ListTasks,
        json!({ "tenant": "a", "contextId": "c", "status": "TASK_STATE_WORKING", "pageSize": 0, "pageToken": "t",
            "historyLength": 0, "statusTimestampAfter": "2026-01-02T03:04:05.678Z", "includeArtifacts": false }),
    );
    agree::<official::ListTasksRequest>(&as_request(operation, &list), &list, read(operation));
    let (operation, push) = same(
        Operation::CreateTaskPushNotificationConfig,
        json!({ "tenant": "a", "id": "i", "taskId": "t", "url": "https://x", "token": "s",
            "authentication": { "scheme": "Bearer", "credentials": "c" } }),
    );
    agree::<official::TaskPushNotificationConfig>(&as_request(operation, &push), &push, read(operation));
    let (operation, ask) = same(
        Operation::ListTaskPushNotificationConfigs,
        json!({ "tenant": "a", "taskId": "t", "pageSize": 3, "pageToken": "p" }),
    );
    agree::<official::ListTaskPushNotificationConfigsRequest>(
        &as_request(operation, &ask),
        &ask,
        read(operation),
    );
    assert!(as_response(Operation::DeleteTaskPushNotificationConfig, &Value::Null).is_empty());
}

#[test]
fn a_whole_card_agrees_with_the_official_types() {
    let flow = json!({ "authorizationUrl": "https://a", "tokenUrl": "https://t", "refreshUrl": "https://r",
        "scopes": { "read": "to read" }, "pkceRequired": true });
    let card = json!({
        "name": "n", "description": "d", "version": "1", "documentationUrl": "https://d", "iconUrl": "https://i",
        "provider": { "url": "https://p", "organization": "o" },
        "supportedInterfaces": [
            { "url": "h:1", "protocolBinding": "GRPC", "tenant": "a", "protocolVersion": "1.0" } ],
        "capabilities": { "streaming": true, "pushNotifications": false, "extendedAgentCard": true,
            "extensions": [ { "uri": "u", "description": "d", "required": true, "params": { "a": [1, null] } } ] },
        "securitySchemes": {
            "key": { "apiKeySecurityScheme": { "description": "d", "location": "header", "name": "X" } },
            "http": { "httpAuthSecurityScheme": { "scheme": "Bearer", "bearerFormat": "JWT" } },
            "oauth": { "oauth2SecurityScheme": { "flows": { "authorizationCode": flow },
                "oauth2MetadataUrl": "https://m" } },
            "oidc": { "openIdConnectSecurityScheme": { "openIdConnectUrl": "https://o" } },
            "mtls": { "mtlsSecurityScheme": { "description": "d" } } },
        "securityRequirements": [ { "schemes": { "oauth": { "list": ["read"] } } } ],
        "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
        "skills": [ { "id": "s", "name": "n", "description": "d", "tags": ["t"], "examples": ["e"],
            "inputModes": ["a/b"], "outputModes": ["c/d"],
            "securityRequirements": [ { "schemes": { "mtls": { "list": ["x"] } } } ] } ],
        "signatures": [ { "protected": "p", "signature": "s", "header": { "kid": "k" } } ]
    });
    let operation = Operation::GetExtendedAgentCard;
    let read = |bytes: &[u8]| typed(read_response::<Value>(operation, bytes));
    agree::<official::AgentCard>(&as_response(operation, &card), &card, read);
}

#[test]
fn what_protobuf_cannot_carry_is_lost_as_documented_and_nothing_else() {
    let message = json!({ "messageId": "m", "role": "ROLE_USER", "new": 1, "parts": [
        { "data": { "big": 12_345_678_901_234_567_890_u64 }, "new": 1 }, { "raw": "_-8" }, { "data": null } ] });
    let bytes = as_request(Operation::SendMessage, &json!({ "message": message, "new": 1 }));
    let back: Value = read_request(Operation::SendMessage, &bytes).unwrap();
    let expected = json!({ "messageId": "m", "role": "ROLE_USER", "parts": [
        { "data": { "big": 12_345_678_901_234_567_000.0 } }, { "raw": "/+8=" }, { "data": null } ] });
    assert_eq!(normal(&back), normal(&json!({ "message": expected })));

    let nested = |depth: usize| {
        let data: Value =
            serde_json::from_str(&format!("{}{}", "[".repeat(depth), "]".repeat(depth))).unwrap();
        json!({ "message": { "messageId": "m", "role": "ROLE_USER", "parts": [{ "data": data }] } })
    };
    let fits = as_request(Operation::SendMessage, &nested(MAX_DEPTH / 2 - 2));
    assert!(official::SendMessageRequest::decode(fits.as_slice()).is_ok());
    let error = write_request(Operation::SendMessage, &nested(MAX_DEPTH / 2)).unwrap_err().to_string();
    assert!(error.contains("nested deeper"), "{error}");
    let within = |number: u8, inner: &[u8]| {
        let mut bytes = vec![
            number << 3 | 2,
            inner.len().to_le_bytes()[0] | 0x80,
            u8::try_from(inner.len() >> 7).unwrap(),
        ];
        bytes.extend(inner);
        bytes
    };
    let deep = (0..1_000).fold(Vec::new(), |inner, _| within(6, &within(1, &inner)));
    let message = within(2, &within(5, &within(4, &deep)));
    let error = read_request::<Value>(Operation::SendMessage, &message).unwrap_err().message;
    assert!(error.contains("nested deeper"), "{error}");
}

#[test]
fn numbers_stay_whole_and_messages_in_pieces_are_put_together() {
    let message =
        json!({ "messageId": "m", "role": "ROLE_USER", "parts": [{ "data": { "calls": 3, "share": 0.5 } }] });
    let bytes = as_request(Operation::SendMessage, &json!({ "message": message }));
    let back: Value = read_request(Operation::SendMessage, &bytes).unwrap();
    assert_eq!(back["message"]["parts"][0]["data"].to_string(), r#"{"calls":3,"share":0.5}"#);

    let mut pieces =
        as_request(Operation::SendMessage, &json!({ "message": { "messageId": "old", "contextId": "c" } }));
    pieces.extend(bytes);
    let back: Value = read_request(Operation::SendMessage, &pieces).unwrap();
    assert_eq!((&back["message"]["messageId"], &back["message"]["contextId"]), (&json!("m"), &json!("c")));
    let both = [
        as_response(Operation::SendMessage, &json!({ "task": { "id": "t" } })),
        as_response(Operation::SendMessage, &json!({ "message": { "messageId": "m" } })),
    ]
    .concat();
    let last: Value = read_response(Operation::SendMessage, &both).unwrap();
    assert_eq!(
        last,
        json!({ "message": { "messageId": "m" } }),
        "of several that exclude each other the last counts"
    );
}

#[test]
fn errors_name_the_field() {
    let send = Operation::SendMessage;
    let wrong = |message: Value| write_request(send, &json!({ "message": message })).unwrap_err().to_string();
    assert!(
        wrong(json!({ "parts": [{ "text": "a" }, { "raw": "!" }] }))
            .starts_with("message.parts[1].raw: expected base64")
    );
    assert!(wrong(json!({ "role": "USER" })).starts_with("message.role: expected Role"));
    assert!(wrong(json!([])).starts_with("message: expected an object"));
    let unsaid = as_request(send, &json!({ "message": { "messageId": "m", "parts": [{ "text": "x" }] } }));
    let error = read_request::<SendMessageRequest>(send, &unsaid).unwrap_err();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::InvalidParams, "Invalid parameters: message.role: required, but missing")
    );
    let error = read_request::<Value>(send, b"\x0a\xff").unwrap_err();
    assert_eq!(error.kind, ErrorKind::ParseError, "{error}");
    let error = read_request::<Value>(send, b"\x12\x02\x08\x01").unwrap_err();
    assert!(error.message.starts_with("message.messageId: not a protobuf message"), "{error}");
}
