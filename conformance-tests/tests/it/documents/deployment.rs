//! The files to deploy with are what their tools take. A tool that is not on this machine is named.

use std::path::Path;
use std::process::{Command, Output};

use conformance_tests::{command, document_tool};
use tempfile::TempDir;

use super::repository;

/// How exposed systemd may find the unit, of 10: what remains is that it opens sockets and reads its configuration.
const MOST_EXPOSED: &str = "--threshold=20";
/// Flow maps in the style of Kubernetes' own pages, and lines as long as the other files'.
const YAML_RULES: &str = "{extends: default, rules: {line-length: {max: 140}, document-start: disable, \
                          braces: {max-spaces-inside: 1}}}";

fn judged(output: &Output) {
    let said =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
    assert!(output.status.success(), "{said}");
}

/// Runs a tool that may be missing; says so if it is.
fn tried(tool: &mut Command) -> Option<Output> {
    match tool.output() {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("skipped: {}: {error}", tool.get_program().display());
            None
        }
    }
}

fn file(path: &str) -> std::path::PathBuf {
    repository().join(path)
}

#[test]
fn the_container_is_as_the_linter_wants_it() {
    judged(&Command::new(document_tool("hadolint")).arg(file("deploy/Dockerfile")).output().unwrap());
}

#[test]
fn the_manifests_are_what_kubernetes_takes() {
    let manifests = file("deploy/kubernetes.yaml");
    judged(
        &Command::new(document_tool("kubernetes-validate")).arg("--strict").arg(&manifests).output().unwrap(),
    );
    judged(
        &Command::new(document_tool("yamllint"))
            .args(["--strict", "-d", YAML_RULES])
            .arg(&manifests)
            .output()
            .unwrap(),
    );
}

#[test]
fn the_configuration_in_the_manifests_is_what_the_broker_takes() {
    let manifests = std::fs::read_to_string(file("deploy/kubernetes.yaml")).unwrap();
    let rest = manifests.split_once("bailiwick.toml: |\n").unwrap().1;
    let lines = rest.lines().take_while(|line| line.starts_with("    ")).map(str::trim_start);
    let configuration = lines.collect::<Vec<_>>().join("\n");
    let folder = TempDir::new().unwrap();
    let toml = folder.path().join("bailiwick.toml");
    std::fs::write(&toml, configuration).unwrap();
    let mut check = command(&["config", "check", "--config"]);
    judged(
        &check.arg(toml).env("BAILIWICK_OPERATOR_KEY", "a key that a cluster would give").output().unwrap(),
    );
}

#[test]
fn the_unit_is_what_systemd_takes_and_confines_the_broker() {
    let unit = std::fs::read_to_string(file("deploy/bailiwick.service")).unwrap();
    let folder = TempDir::new().unwrap();
    // The program stands where this machine has it.
    let program = command(&[]).get_program().to_str().unwrap().to_owned();
    let here = folder.path().join("bailiwick.service");
    std::fs::write(&here, unit.replace("/usr/local/bin/bailiwick", &program)).unwrap();
    let Some(verified) = tried(Command::new("systemd-analyze").arg("verify").arg(&here)) else { return };
    judged(&verified);
    assert!(verified.stderr.is_empty(), "{}", String::from_utf8_lossy(&verified.stderr));
    let exposed = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager", MOST_EXPOSED])
        .arg(&here)
        .output()
        .unwrap();
    judged(&exposed);
}

#[test]
fn the_dashboard_asks_for_metrics_that_are_documented() {
    let dashboard: serde_json::Value =
        serde_json::from_slice(&std::fs::read(file("docs/grafana.json")).unwrap()).unwrap();
    let told = std::fs::read_to_string(file("docs/observability.md")).unwrap();
    let mut asked = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let words = target["expr"]
                .as_str()
                .unwrap()
                .split(|letter: char| !letter.is_alphanumeric() && letter != '_');
            for metric in words.filter(|word| word.starts_with("bailiwick_")) {
                let metric = ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|end| metric.strip_suffix(end))
                    .unwrap_or(metric);
                assert!(told.contains(metric), "{metric} is not in docs/observability.md");
                asked += 1;
            }
        }
    }
    assert!(asked > 5, "only {asked} metrics are asked for");
}

#[test]
fn the_scripts_are_as_the_linter_wants_them() {
    let scripts = [".ci/run", "docs/book.sh", "examples/first_five_minutes.sh"].map(file);
    for script in scripts {
        let shell = ["--shell=bash", "--severity=warning"];
        judged(
            &Command::new(document_tool("shellcheck")).args(shell).arg(Path::new(&script)).output().unwrap(),
        );
    }
}
