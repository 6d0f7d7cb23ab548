//! Schemas of what is read and written, by the types that do so. Each named type stands once, among the components.

use std::collections::BTreeMap;

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

/// Where the document has its schemas.
const PLACE: &str = "/components/schemas";

/// The schemas in the making. What may be left out, and what is there, differ between reading and writing.
pub(super) struct Schemas {
    read: SchemaGenerator,
    written: SchemaGenerator,
}

impl Default for Schemas {
    fn default() -> Self {
        Self { read: settings().for_deserialize().into(), written: settings().for_serialize().into() }
    }
}

impl Schemas {
    /// What a type is read from.
    pub(super) fn of_read<T: JsonSchema>(&mut self) -> Value {
        self.read.subschema_for::<T>().into()
    }

    /// What a type is written as.
    pub(super) fn of_written<T: JsonSchema>(&mut self) -> Value {
        self.written.subschema_for::<T>().into()
    }

    /// All that have a name, and what is answered where something goes wrong.
    pub(super) fn all(mut self) -> BTreeMap<String, Value> {
        let mut all: BTreeMap<String, Value> = self.written.take_definitions(true).into_iter().collect();
        all.extend(self.read.take_definitions(true));
        all.insert(super::failures::SCHEMA.to_owned(), super::failures::schema());
        all
    }
}

fn settings() -> SchemaSettings {
    SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = PLACE.into();
        settings.meta_schema = None;
        settings.transforms.push(Box::new(RecursiveTransform(bound_integers)));
    })
}

/// A format is a hint; the greatest number that is read stands where every reader of a schema looks.
fn bound_integers(schema: &mut Schema) {
    let greatest = match schema.get("format").and_then(Value::as_str) {
        Some("uint32") => u64::from(u32::MAX),
        Some("uint" | "uint64") => u64::MAX,
        _ => return,
    };
    if schema.get("maximum").is_none() {
        schema.insert("maximum".to_owned(), greatest.into());
    }
}

/// The members of a type as parameters in a query.
pub(super) fn query_parameters<T: JsonSchema>() -> Vec<Value> {
    let settings = settings().with(|settings| settings.inline_subschemas = true);
    let schema = Value::from(settings.into_generator().into_root_schema_for::<T>());
    let is_required = |name: &str| {
        let required = schema.get("required").and_then(Value::as_array);
        required.is_some_and(|required| required.iter().any(|member| member == name))
    };
    let members = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    members
        .map(|(name, schema)| {
            let mut schema = without_null(schema.clone());
            let about = schema.as_object_mut().and_then(|members| members.remove("description"));
            json!({
                "name": name,
                "in": "query",
                "required": is_required(name),
                "allowEmptyValue": true,
                "description": about,
                "schema": schema,
            })
        })
        .collect()
}

/// In a query there is no null: what is none is left out.
fn without_null(mut schema: Value) -> Value {
    let Some(members) = schema.as_object_mut() else { return schema };
    members.remove("default");
    let types = members.get("type").and_then(Value::as_array);
    if let Some(only) = types.and_then(|types| types.iter().find(|name| *name != "null")).cloned() {
        members.insert("type".to_owned(), only);
    }
    let null = json!({ "type": "null" });
    let choices = members.remove("anyOf");
    let choice = choices.as_ref().and_then(Value::as_array).into_iter().flatten().find(|one| **one != null);
    members.extend(choice.and_then(Value::as_object).cloned().unwrap_or_else(Map::new));
    schema
}

/// What stands for a name in a path.
pub(super) fn path_parameter(name: &str) -> Value {
    let (about, schema) = match name {
        "name" => ("The name an agent is registered by.", json!({ "type": "string", "minLength": 1 })),
        "id" | "task" => ("A task of the broker.", json!({ "type": "string", "format": "uuid" })),
        _ => ("The id of a push notification configuration.", json!({ "type": "string", "minLength": 1 })),
    };
    json!({ "name": name, "in": "path", "required": true, "description": about, "schema": schema })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::northbound::api::route::Endpoint;

    /// Names stand once: two types of one name would show as `Name` and `Name2`.
    #[test]
    fn no_two_types_share_a_name() {
        let mut schemas = Schemas::default();
        let mut described = |endpoint: Endpoint| super::super::describe_endpoint(endpoint, &mut schemas);
        for &endpoint in Endpoint::ALL {
            described(endpoint);
        }
        let (read, written) = (schemas.read.definitions().clone(), schemas.written.definitions().clone());
        for (name, schema) in read.iter().chain(&written) {
            let plain = name.trim_end_matches(|last: char| last.is_ascii_digit());
            let is_alone = plain == name || !(read.contains_key(plain) || written.contains_key(plain));
            assert!(is_alone, "{name} and {plain}");
            let both = read.get(name).zip(written.get(name));
            assert!(
                both.is_none_or(|(read, written)| read == written),
                "{name} is read in another way than written: {schema}"
            );
        }
    }

    #[test]
    fn a_parameter_that_may_be_left_out_is_never_null() {
        #[derive(JsonSchema)]
        #[allow(dead_code, reason = "only described")]
        struct Wanted {
            /// How many.
            limit: Option<u64>,
            state: Option<protocol::TaskState>,
            name: String,
        }
        let parameters = query_parameters::<Wanted>();
        let limit = json!({ "type": "integer", "format": "uint64", "minimum": 0, "maximum": u64::MAX });
        let expected = json!({ "name": "limit", "in": "query", "required": false, "allowEmptyValue": true, "description": "How many.", "schema": limit });
        assert_eq!(parameters[0], expected);
        assert_eq!(parameters[1]["required"], true);
        assert!(
            parameters[2]["schema"]["oneOf"].is_array() && !parameters[2].to_string().contains("null}"),
            "{}",
            parameters[2]
        );
    }
}
