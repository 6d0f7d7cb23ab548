//! The command line explains itself.

use std::process::{Command, Output};

fn bailiwick(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bailiwick")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn every_command_has_help_with_an_example() {
    for command in [
        "serve",
        "demo",
        "agent add",
        "agent list",
        "agent show",
        "agent remove",
        "send",
        "task get",
        "task list",
        "task tree",
        "task watch",
        "task cancel",
        "key new",
        "cap meet",
        "cap check",
        "cap explain",
        "audit export",
        "audit verify",
        "grant inspect",
        "grant verify",
        "grant rotate",
        "grant revoke",
        "backup",
        "restore",
        "completions",
        "manual",
        "config check",
        "config print",
    ] {
        let mut arguments: Vec<&str> = command.split(' ').collect();
        arguments.push("--help");
        let output = bailiwick(&arguments);
        let help = text(&output.stdout);
        assert!(output.status.success() && help.contains("Example"), "{command}: {help}");
        assert!(help.contains(&format!("bailiwick {command}")), "{command}: {help}");
    }
}

#[test]
fn mistakes_get_a_next_step_and_the_right_exit_code() {
    let usage = bailiwick(&["sent"]);
    assert_eq!(usage.status.code(), Some(2));
    assert!(text(&usage.stderr).contains("send"), "{}", text(&usage.stderr));
    let nobody = bailiwick(&["--broker", "http://127.0.0.1:1", "agent", "list"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(text(&nobody.stderr).contains("bailiwick serve"), "{}", text(&nobody.stderr));
    for auth in ["{ bearer = \"s3cret\" }", "\"s3cret\"", "{ token = \"s3cret\" }", "{ bearer = s3cret"] {
        let wrong = bailiwick(&["agent", "add", "a", "http://127.0.0.1:1", "--auth", auth]);
        assert_eq!(wrong.status.code(), Some(1), "{auth}");
        let problem = text(&wrong.stderr);
        assert!(problem.contains("--auth") && !problem.contains("s3cret"), "{auth}: {problem}");
    }
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("x.toml");
    std::fs::write(&file, "[server]\nlisten = 7\n").unwrap();
    let wrong = bailiwick(&["config", "check", "--config", file.to_str().unwrap()]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).contains("line 2"), "{}", text(&wrong.stderr));
    let good = bailiwick(&["config", "check", "--json"]);
    assert_eq!(text(&good.stdout), "{\"ok\":true,\"open\":true}\n");
    let defaults = text(&bailiwick(&["config", "print", "--defaults"]).stdout);
    assert_eq!(defaults.trim(), broker::config::DEFAULT_TOML.trim());
}

#[test]
fn a_made_key_is_random_and_fits_its_digest() {
    let make = || text(&bailiwick(&["key", "new", "--json"]).stdout);
    let (one, other) = (make(), make());
    assert_ne!(one, other);
    let key: serde_json::Value = serde_json::from_str(&one).unwrap();
    let secret = key["key"].as_str().unwrap();
    assert!(secret.starts_with("bailiwick_") && secret.len() == 10 + 43 && !secret.contains('.'), "{secret}");
    let digest = <sha2::Sha256 as sha2::Digest>::digest(secret.as_bytes());
    assert_eq!(key["key_sha256"], format!("{digest:x}"));
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    let folder = tempfile::TempDir::new().unwrap();
    assert!(bailiwick(&["manual", folder.path().to_str().unwrap()]).status.success());
    let page = std::fs::read_to_string(folder.path().join("bailiwick-agent-add.1")).unwrap();
    assert!(page.contains("Register an agent"), "{page}");
    for shell in ["bash", "zsh", "fish"] {
        assert!(text(&bailiwick(&["completions", shell]).stdout).contains("approvals"), "{shell}");
    }
}
