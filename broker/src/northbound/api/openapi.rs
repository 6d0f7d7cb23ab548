//! The OpenAPI 3.1 document of the operator API, made of the table in `route.rs` and of the types the endpoints read and
//! write. Nothing is said here of a single endpoint.

mod failures;
mod schemas;
mod security;

use std::collections::BTreeMap;

use http::StatusCode;
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use self::schemas::Schemas;
use super::exchange::JSON;
use super::route::Endpoint;
use crate::service::Broker;

const VERSION: &str = "3.1.1";
/// Below which path of the broker's URL the API is.
const BASE: &str = "/api/v1";
const ABOUT: &str = "What operators, the console and the command line ask a Bailiwick broker for. A method that a path \
                     does not answer is refused with 405, a path that is not here with 404.";

/// What is said of one endpoint, in the making.
pub(super) struct Description<'s> {
    schemas: &'s mut Schemas,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: BTreeMap<String, Value>,
}

impl Description<'_> {
    /// It takes the members of a type as parameters in its query.
    pub(super) fn takes_in_query<T: JsonSchema>(&mut self) {
        self.parameters.extend(schemas::query_parameters::<T>());
    }

    /// It takes a JSON object.
    pub(super) fn takes_as_body<T: JsonSchema>(&mut self, required: bool) {
        let schema = self.schemas.of_read::<T>();
        self.body = Some(json!({ "required": required, "content": { JSON: { "schema": schema } } }));
    }

    /// It answers with a JSON document.
    pub(super) fn answers_json<T: JsonSchema>(&mut self, status: StatusCode, what: &str) {
        let schema = self.schemas.of_written::<T>();
        self.answer(status, json!({ "description": what, "content": { JSON: { "schema": schema } } }));
    }

    /// It answers with something of another media type.
    pub(super) fn answers(&mut self, media_type: &str, what: &str) {
        let content = json!({ media_type: { "schema": { "type": "string" } } });
        self.answer(StatusCode::OK, json!({ "description": what, "content": content }));
    }

    /// It answers with events; in this version of OpenAPI no schema can say of what kind they are.
    pub(super) fn answers_events(&mut self, media_type: &str, what: &str) {
        self.answer(StatusCode::OK, json!({ "description": what, "content": { media_type: {} } }));
    }

    /// It answers with nothing.
    pub(super) fn answers_nothing(&mut self, what: &str) {
        self.answer(StatusCode::NO_CONTENT, json!({ "description": what }));
    }

    /// It writes a type where no schema can say so.
    pub(super) fn defines<T: JsonSchema>(&mut self) {
        self.schemas.of_written::<T>();
    }

    fn answer(&mut self, status: StatusCode, answer: Value) {
        self.answers.insert(status.as_str().to_owned(), answer);
    }
}

/// The document of a broker.
pub(super) fn document(broker: &Broker) -> Value {
    describe(&format!("{}{BASE}", broker.base_url()), &broker.declared_schemes())
}

/// The document of any broker: how callers prove who they are is not known.
pub(in crate::northbound) fn plain_document() -> Value {
    describe(BASE, &[])
}

fn describe(server: &str, proofs: &[(String, Value)]) -> Value {
    let mut schemas = Schemas::default();
    let mut paths: Map<String, Value> = Map::new();
    for &endpoint in Endpoint::ALL {
        let operation = describe_endpoint(endpoint, &mut schemas);
        let path = paths.entry(endpoint.path()).or_insert_with(|| json!({}));
        path[endpoint.method().to_ascii_lowercase()] = operation;
    }
    json!({
        "openapi": VERSION,
        "info": {
            "title": "Bailiwick operator API",
            "description": ABOUT,
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": server }],
        "security": security::requirements(proofs),
        "paths": paths,
        "components": {
            "schemas": schemas.all(),
            "responses": failures::responses(),
            "securitySchemes": security::schemes(proofs),
        },
    })
}

fn describe_endpoint(endpoint: Endpoint, schemas: &mut Schemas) -> Value {
    let in_path = endpoint.path().split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut description = Description {
        schemas,
        parameters: in_path.map(schemas::path_parameter).collect(),
        body: None,
        answers: BTreeMap::new(),
    };
    endpoint.describe(&mut description);
    let Description { parameters, body, mut answers, .. } = description;
    answers.extend(failures::of(endpoint, body.is_some()));
    let mut lines = endpoint.lines().iter().map(|line| line.trim());
    let summary = lines.next();
    let about = lines.collect::<Vec<_>>().join(" ");
    let tag = endpoint.path().split('/').nth(1);
    let members = [
        ("operationId", Some(operation_id(endpoint).into())),
        ("tags", Some(json!([tag]))),
        ("summary", summary.map(Value::from)),
        ("description", (!about.is_empty()).then(|| about.into())),
        ("parameters", (!parameters.is_empty()).then(|| parameters.into())),
        ("requestBody", body),
        ("responses", Some(json!(answers))),
    ];
    let said = members.into_iter().filter_map(|(member, value)| Some((member.to_owned(), value?)));
    Value::Object(said.collect())
}

/// Its name as programs write it.
fn operation_id(endpoint: Endpoint) -> String {
    let (first, rest) = endpoint.name().split_at(1);
    format!("{}{rest}", first.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn example() -> Value {
        let bearer = json!({ "httpAuthSecurityScheme": { "scheme": "Bearer", "description": "A key." } });
        describe("http://broker.example/api/v1", &[("bearer".to_owned(), bearer)])
    }

    /// Every object below a value.
    fn visit<'v>(value: &'v Value, see: &mut impl FnMut(&'v Map<String, Value>)) {
        match value {
            Value::Object(members) => {
                see(members);
                members.values().for_each(|value| visit(value, see));
            }
            Value::Array(items) => items.iter().for_each(|value| visit(value, see)),
            _ => {}
        }
    }

    #[test]
    fn every_endpoint_is_described_once_and_every_reference_leads_somewhere() {
        let document = example();
        let operations = document["paths"].as_object().unwrap().values();
        let operations: Vec<&Value> =
            operations.flat_map(|path| path.as_object().unwrap().values()).collect();
        let ids: BTreeSet<&str> = operations.iter().map(|one| one["operationId"].as_str().unwrap()).collect();
        assert_eq!((operations.len(), ids.len()), (Endpoint::ALL.len(), Endpoint::ALL.len()));
        let mut references = BTreeSet::new();
        visit(&document, &mut |object| {
            references.extend(object.get("$ref").and_then(Value::as_str));
        });
        assert!(references.len() > 40, "{references:?}");
        for reference in references {
            let place = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(place).is_some(), "{reference} leads nowhere");
        }
    }

    #[test]
    fn what_callers_prove_themselves_with_is_what_the_broker_declares() {
        let document = example();
        assert_eq!(document["security"], json!([{ "bearer": [] }]));
        let scheme = &document["components"]["securitySchemes"]["bearer"];
        assert_eq!(*scheme, json!({ "type": "http", "scheme": "bearer", "description": "A key." }));
        assert_eq!(describe("", &[])["security"], json!([]), "an open broker asks for nothing");
    }

    #[test]
    fn every_summary_is_one_whole_sentence() {
        for endpoint in Endpoint::ALL {
            let summary = endpoint.lines()[0].trim();
            assert!(summary.ends_with('.') && summary.len() < 80, "{endpoint:?}: {summary}");
        }
    }
}
