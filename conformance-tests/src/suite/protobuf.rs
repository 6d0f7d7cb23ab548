//! JSON to protobuf and back, by the official definition (`proto/a2a.binpb`) and a library of its own: not by the
//! types of whom the suite judges. What protobuf says stays visible: an enum value nobody defined is its number, and
//! a scalar the definition marks REQUIRED is always there, with the default protobuf gives it if it was not sent.

use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use prost_reflect::prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor,
    MethodDescriptor, ReflectMessage, SerializeOptions, Value as Field,
};
use serde_json::{Map, Value, json};

use super::operation::Operation;

/// The descriptors of `lf.a2a.v1` and of the details of errors, as protoc wrote them.
const DESCRIPTORS: &[u8] = include_bytes!("../../proto/a2a.binpb");
/// The service (spec §10.1).
pub const SERVICE: &str = "lf.a2a.v1.A2AService";
/// `FieldBehavior.REQUIRED`.
const REQUIRED: i32 = 2;
/// What stands before the name of a type in an `Any`.
const TYPE_PREFIX: &str = "type.googleapis.com/";

static POOL: LazyLock<Result<DescriptorPool, String>> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).map_err(|error| format!("a2a.binpb: {error}")));

/// Every message and field of the definition, with the field's number: `Task.id 1`.
pub fn fields() -> Result<Vec<String>, String> {
    let of_a2a =
        |message: &MessageDescriptor| message.package_name() == "lf.a2a.v1" && !message.is_map_entry();
    let messages = pool()?.all_messages().filter(of_a2a);
    Ok(messages
        .flat_map(|message| {
            let name = message.name().to_owned();
            message
                .fields()
                .map(move |field| format!("{name}.{} {}", field.name(), field.number()))
                .collect::<Vec<_>>()
        })
        .collect())
}

/// A request as bytes; an error says what protobuf has no way to say.
pub fn request(operation: Operation, json: &Value) -> Result<Vec<u8>, String> {
    encode(&method(operation)?.input(), json)
}

/// Whether requests of an operation name a tenant.
pub fn names_tenant(operation: Operation) -> bool {
    method(operation).is_ok_and(|method| method.input().get_field_by_name("tenant").is_some())
}

/// A request that was read, as a server sees it.
pub fn read_request(operation: Operation, bytes: &[u8]) -> Result<Value, String> {
    decode(&method(operation)?.input(), bytes)
}

/// An answer, or an event, as JSON; an error says what is wrong with the bytes.
pub fn response(operation: Operation, bytes: &[u8]) -> Result<Value, String> {
    decode(&method(operation)?.output(), bytes)
}

/// An answer as bytes, as a server writes it.
pub fn write_response(operation: Operation, json: &Value) -> Result<Vec<u8>, String> {
    encode(&method(operation)?.output(), json)
}

/// A `google.rpc.Status` as JSON: code, message, and each detail with its `@type`. A detail of a type nobody here
/// knows has its bytes as `value`.
pub fn status(bytes: &[u8]) -> Result<Value, String> {
    let status = DynamicMessage::decode(message("google.rpc.Status")?, bytes);
    let status = status.map_err(|error| format!("no google.rpc.Status: {error}"))?;
    let mut json = json!({ "code": 0, "message": "", "details": [] });
    for (field, value) in status.fields() {
        json[field.name()] = match value {
            Field::I32(code) => json!(code),
            Field::String(text) => json!(text),
            Field::List(details) => details.iter().map(detail).collect::<Result<_, _>>()?,
            _ => continue,
        };
    }
    Ok(json)
}

/// A `google.rpc.Status` as bytes, from JSON as [`status`] gives it.
pub fn write_status(json: &Value) -> Result<Vec<u8>, String> {
    encode(&message("google.rpc.Status")?, json)
}

fn detail(any: &Field) -> Result<Value, String> {
    let Field::Message(any) = any else { return Err("a detail that is no message".into()) };
    let text = any.get_field_by_name("type_url").map(|value| value.as_str().unwrap_or_default().to_owned());
    let bytes =
        any.get_field_by_name("value").and_then(|value| value.as_bytes().cloned()).unwrap_or_default();
    let (name, mut json) = (text.unwrap_or_default(), json!({}));
    let known = name.strip_prefix(TYPE_PREFIX).and_then(|name| message(name).ok());
    match known {
        Some(known) => json = decode(&known, &bytes)?,
        None => json["value"] = json!(BASE64_STANDARD.encode(bytes)),
    }
    if !name.is_empty() {
        json["@type"] = json!(name);
    }
    Ok(json)
}

/// A field of text, bytes or a message, put together by hand: also where no definition has it.
pub fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    bytes.extend(length(content.len()));
    bytes.extend(content);
    bytes
}

/// A length as protobuf writes it.
fn length(length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A vector grows: there is nothing that can fail.
    let _ = prost_reflect::prost::encode_length_delimiter(length, &mut bytes);
    bytes
}

fn pool() -> Result<&'static DescriptorPool, String> {
    POOL.as_ref().map_err(Clone::clone)
}

fn message(name: &str) -> Result<MessageDescriptor, String> {
    pool()?.get_message_by_name(name).ok_or_else(|| format!("the definition has no message {name}"))
}

fn method(operation: Operation) -> Result<MethodDescriptor, String> {
    let service = pool()?.get_service_by_name(SERVICE);
    let found =
        service.and_then(|service| service.methods().find(|method| method.name() == operation.method));
    found.ok_or_else(|| format!("the definition has no method {}", operation.method))
}

fn encode(descriptor: &MessageDescriptor, json: &Value) -> Result<Vec<u8>, String> {
    let message = DynamicMessage::deserialize(descriptor.clone(), json).map_err(|error| error.to_string())?;
    Ok(message.encode_to_vec())
}

fn decode(descriptor: &MessageDescriptor, bytes: &[u8]) -> Result<Value, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("no {}: {error}", descriptor.full_name());
    let message = DynamicMessage::decode(descriptor.clone(), bytes).map_err(|error| wrong(&error))?;
    let options = SerializeOptions::new();
    let json = message.serialize_with_options(serde_json::value::Serializer, &options);
    let mut json = json.map_err(|error| wrong(&error))?;
    add_required(&message, &mut json)?;
    Ok(json)
}

/// Adds the REQUIRED scalars that were not sent: to protobuf, absent and empty are one.
fn add_required(message: &DynamicMessage, json: &mut Value) -> Result<(), String> {
    let descriptor = message.descriptor();
    if descriptor.package_name().starts_with("google.protobuf") {
        return Ok(());
    }
    let Value::Object(members) = json else { return Ok(()) };
    let behaviour = pool()?.get_extension_by_name("google.api.field_behavior");
    for field in descriptor.fields() {
        let many = field.is_list() || field.is_map();
        if message.has_field(&field) {
            let Some(member) = members.get_mut(field.json_name()) else { continue };
            inside(&message.get_field(&field), member)?;
        } else if !many && !field.supports_presence() && is_required(&field, behaviour.as_ref()) {
            members.insert(field.json_name().to_owned(), default(&field));
        }
    }
    Ok(())
}

fn inside(value: &Field, json: &mut Value) -> Result<(), String> {
    match (value, json) {
        (Field::Message(message), json) => add_required(message, json)?,
        (Field::List(values), Value::Array(entries)) => {
            for (value, entry) in values.iter().zip(entries) {
                inside(value, entry)?;
            }
        }
        (Field::Map(values), Value::Object(entries)) => named(values, entries)?,
        _ => {}
    }
    Ok(())
}

fn named(
    values: &std::collections::HashMap<prost_reflect::MapKey, Field>,
    entries: &mut Map<String, Value>,
) -> Result<(), String> {
    for (key, value) in values {
        if let Some(entry) = key.as_str().and_then(|key| entries.get_mut(key)) {
            inside(value, entry)?;
        }
    }
    Ok(())
}

fn is_required(field: &FieldDescriptor, behaviour: Option<&ExtensionDescriptor>) -> bool {
    let Some(behaviour) = behaviour else { return false };
    let options = field.options();
    let said = options.get_extension(behaviour);
    said.as_list().is_some_and(|list| list.iter().any(|value| value.as_enum_number() == Some(REQUIRED)))
}

fn default(field: &FieldDescriptor) -> Value {
    match field.kind() {
        Kind::String | Kind::Bytes => json!(""),
        Kind::Bool => json!(false),
        Kind::Enum(names) => json!(names.default_value().name()),
        _ => json!(0),
    }
}
