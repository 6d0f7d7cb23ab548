//! The served document, judged by the meta-schema of OpenAPI 3.1, and the broker, judged by the document.

use std::path::Path;
use std::process::Command;

use conformance_tests::{agents_folder, interpreter_openapi, is_embedded};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{House, OPERATOR};

/// Runs a program of the environment; whether it was content, and what it said.
fn run(program: &str, arguments: &[&str], folder: &Path) -> (bool, String) {
    let program = interpreter_openapi().with_file_name(program);
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).env("OPERATOR_KEY", OPERATOR);
    let output = command.output().expect("the program runs");
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    (output.status.success(), said.concat())
}

fn write(folder: &TempDir, document: &Value) -> String {
    let file = folder.path().join("openapi.json");
    std::fs::write(&file, document.to_string()).expect("the document is written");
    file.to_str().expect("a path").to_owned()
}

fn is_valid(document: &Value) -> (bool, String) {
    let folder = TempDir::new().expect("a folder");
    let file = write(&folder, document);
    run("openapi-spec-validator", &["--schema", "3.1", &file], folder.path())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_openapi_and_names_where_it_was_got_and_how_to_prove_who_calls() {
    let house = House::build("").await;
    let mut document = house.document().await;
    let (valid, said) = is_valid(&document);
    assert!(valid, "{said}");
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")));
    assert_eq!(document["servers"][0]["url"], format!("{}/api/v1", house.broker.url()));
    let schemes = &document["components"]["securitySchemes"];
    assert_eq!(
        (&schemes["bearer"]["scheme"], &schemes["apiKey"]["name"]),
        (&"bearer".into(), &"X-API-Key".into())
    );
    assert_eq!(document["security"].as_array().map(Vec::len), Some(2));

    // The judge is one that says no.
    document["paths"]["/agents"]["get"]["responses"] = "none".into();
    assert!(!is_valid(&document).0, "a document that is wrong is found to be");
}

/// How it is tried: as the file says, with names that stand for something here.
async fn configuration(house: &House) -> String {
    let shared = std::fs::read_to_string(agents_folder().join("schemathesis.toml")).expect("the file");
    let tasks = house.get("/tasks").await.json();
    let tasks = tasks["tasks"].as_array().expect("tasks").iter();
    let tasks: Vec<&str> = tasks.filter_map(|task| task["task"].as_str()).collect();
    [
        shared,
        format!("[dictionaries]\ntasks = {{ values = {tasks:?} }}\n"),
        "agents = { values = [\"worker\", \"spare\"] }\n[parameters]\n".to_owned(),
        "\"path.id\" = { dictionary = \"tasks\", probability = 0.6 }\n".to_owned(),
        "\"path.name\" = { dictionary = \"agents\", probability = 0.6 }\n".to_owned(),
    ]
    .concat()
}

/// What `schemathesis` finds by trying all that the document says.
async fn tried(house: &House, document: &Value, more: &[&str]) -> (bool, String) {
    let folder = TempDir::new().expect("a folder");
    let file = write(&folder, document);
    let config = folder.path().join("schemathesis.toml");
    std::fs::write(&config, configuration(house).await).expect("the configuration is written");
    let url = format!("{}/api/v1", house.broker.url());
    let more: Vec<String> = more.iter().map(|more| (*more).to_owned()).collect();
    tokio::task::spawn_blocking(move || {
        let config = config.to_str().expect("a path");
        let mut arguments = vec!["--config-file", config, "run", &file, "--url", &url, "--no-color"];
        arguments.extend(["--phases", "coverage,fuzzing"]);
        arguments.extend(more.iter().map(String::as_str));
        run("schemathesis", &arguments, folder.path())
    })
    .await
    .expect("it ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_does_what_its_document_says_whatever_it_is_asked() {
    let house = House::build("").await;
    let document = house.document().await;
    let endpoints: usize =
        document["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len()).sum();
    // Where the store is a database, nobody's backup is as good as it looks.
    let left_out: &[&str] =
        if is_embedded("trying to take backups") { &[] } else { &["--exclude-path", "/backup"] };
    let endpoints = endpoints - left_out.len() / 2;
    let (content, said) = tried(&house, &document, left_out).await;
    assert!(content, "{said}");
    assert!(
        said.contains(&format!("Tested: {endpoints}")),
        "not all of {endpoints} endpoints were tried:\n{said}"
    );
}

/// The judge is one that says no: each of these lies about the broker is found out.
#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_not_true_is_found_out() {
    let house = House::build("").await;
    let document = house.document().await;
    let lies: [(&str, &str, Value); 4] = [
        ("/components/schemas/Introduction/properties/name/type", "/whoami", json!("integer")),
        ("/paths/~1agents~1{name}/get/responses/404", "/agents/{name}", Value::Null),
        ("/paths/~1trees/get/parameters/2/schema", "/trees", json!({ "type": "string", "maxLength": 4 })),
        ("/paths/~1keys/get/responses/200/content", "/keys", json!({ "text/plain": {} })),
    ];
    for (place, path, lie) in lies {
        let mut document = document.clone();
        let told = document.pointer_mut(place).unwrap_or_else(|| panic!("{place} is there"));
        *told = lie;
        if let Some(responses) = document.pointer_mut("/paths/~1agents~1{name}/get/responses") {
            responses.as_object_mut().expect("responses").retain(|_, response| !response.is_null());
        }
        let (content, said) = tried(&house, &document, &["--include-path", path]).await;
        assert!(!content && said.contains("FAILURES"), "{place}:\n{said}");
    }
}
