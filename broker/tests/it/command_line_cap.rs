//! `bailiwick cap` and `bailiwick audit verify`: what they answer, and that the examples of their help run.

use std::process::{Command, Output};

use broker_core::Timestamp;
use broker_core::audit::{AuthenticationFailed, Entry, Event, Head, Presented};
use serde_json::{Value, json};
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_bailiwick");

fn bailiwick(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

#[test]
fn meet_and_check_answer_as_the_lattice_does() {
    let meet =
        bailiwick(&["cap", "meet", "mcp:tool/*{calls<=20} a2a:skill/x/y", "mcp:tool/search fs:path/docs/**"]);
    assert_eq!((code(&meet), text(&meet.stdout).as_str()), (0, "mcp:tool/search{calls<=20}\n"));
    let nothing = bailiwick(&["cap", "meet", "mcp:tool/a", "mcp:tool/b"]);
    assert_eq!((code(&nothing), text(&nothing.stdout).as_str()), (0, "nothing\n"));
    let json = bailiwick(&["cap", "meet", "mcp:tool/a", "mcp:tool/b", "--json"]);
    assert_eq!(text(&json.stdout), "{\"meet\":[]}\n");

    let within = bailiwick(&["cap", "check", "mcp:tool/a mcp:tool/b", "mcp:tool/*"]);
    assert_eq!((code(&within), text(&within.stdout).as_str()), (0, "within\n"));
    let outside = bailiwick(&["cap", "check", "mcp:tool/a fs:path/x", "mcp:tool/*"]);
    assert_eq!(code(&outside), 1);
    assert!(text(&outside.stdout).contains("fs:path/x") && !text(&outside.stdout).contains("mcp:tool/a"));
    let wrong = bailiwick(&["cap", "check", "mcp:tool/{", "mcp:tool/*"]);
    assert_eq!(code(&wrong), 2, "trouble is not no");
    assert!(text(&wrong.stderr).contains("SCOPE"), "{}", text(&wrong.stderr));
}

#[test]
fn explain_says_what_each_factor_took_and_who_lacks_what_is_missing() {
    let hold = "a2a:skill/writer/* mcp:tool/search{calls<=9} fs:path/docs/**";
    let asked = ["cap", "explain", "--hold", hold, "--caps", "mcp:tool/*{calls<=4}", "--agent", "writer"];
    let allowed = bailiwick(&[&asked[..], &["--skill", "draft"]].concat());
    let said = text(&allowed.stdout);
    assert_eq!(code(&allowed), 0, "{said}");
    for expected in [
        "- fs:path/docs/**",
        "~ mcp:tool/search{calls<=9}  to  mcp:tool/search{calls<=4}",
        "allowed, with mcp:tool/search{calls<=4}",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let needs = [
        "--skill",
        "draft",
        "--requires",
        "draft=mcp:tool/search{calls<=4}",
        "--requires",
        "draft=pay:invoice/*",
    ];
    let denied = bailiwick(&[&asked[..], &needs].concat());
    let said = text(&denied.stdout);
    assert_eq!(code(&denied), 1, "{said}");
    for expected in [
        "denied: requirement_unmet",
        "missing pay:invoice/*, not within hold and caps",
        "bailiwick agent add writer URL --cap 'pay:invoice/*'",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let json = bailiwick(&[&asked[..], &needs, &["--json"]].concat());
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["allowed"], false);
    assert_eq!(json["missing"][0]["capability"], "pay:invoice/*");
    assert_eq!(json["missing"][0]["lacking"], json!(["hold", "caps"]));
    assert_eq!(json["steps"][0]["removed"], json!(["a2a:skill/writer/*", "fs:path/docs/**"]));

    let everything = bailiwick(&["cap", "explain", "--caps", "mcp:tool/x", "--agent", "writer", "--json"]);
    let json: Value = serde_json::from_slice(&everything.stdout).unwrap();
    assert_eq!((&json["hold"], &json["effective"]), (&json!("top"), &json!(["mcp:tool/x"])));
}

/// The commands below `Examples:` in a help text; a backslash continues a line.
fn examples(command: &str) -> Vec<String> {
    let arguments: Vec<&str> = command.split(' ').chain(["--help"]).collect();
    let help = text(&bailiwick(&arguments).stdout);
    let (_, examples) = help.split_once("Examples:\n").unwrap();
    let joined = examples.replace("\\\n", " ");
    joined
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("bailiwick "))
        .map(ToOwned::to_owned)
        .collect()
}

#[test]
fn the_examples_of_the_help_run() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("hold.txt"), "a2a:skill/writer/*\nmcp:tool/search\n").unwrap();
    std::fs::write(folder.path().join("caps.txt"), "mcp:tool/*{calls<=4}\n").unwrap();
    let binaries = std::path::Path::new(BINARY).parent().unwrap();
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
    for (command, answers) in [("cap meet", &[0, 0][..]), ("cap check", &[0, 1]), ("cap explain", &[0, 1, 0])]
    {
        let examples = examples(command);
        let run = |example: &String| {
            let mut shell = Command::new("sh");
            let output =
                shell.args(["-c", example]).current_dir(folder.path()).env("PATH", &path).output().unwrap();
            assert!(code(&output) < 2, "{example}: {}", text(&output.stderr));
            code(&output)
        };
        assert_eq!(examples.iter().map(run).collect::<Vec<_>>(), answers, "{command}");
    }
}

#[test]
fn verify_says_yes_no_or_trouble_and_names_the_entry() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("audit.jsonl");
    let mut head = Head::default();
    let mut log = String::new();
    for reason in ["one", "two", "three"] {
        let event = Event::AuthenticationFailed(AuthenticationFailed::new(Presented::Key, reason));
        log += &head.seal(&Entry::new(Timestamp::from_millis(0), &event).unwrap());
        log += "\n";
    }
    log += &head.line();
    log += "\n";
    std::fs::write(&file, &log).unwrap();
    let verify = |extra: &[&str]| bailiwick(&[&["audit", "verify", file.to_str().unwrap()], extra].concat());
    let good = verify(&["--head", &head.to_string(), "--json"]);
    let said: Value = serde_json::from_slice(&good.stdout).unwrap();
    assert_eq!((code(&good), &said["entries"], &said["head"]), (0, &json!(3), &json!(head.to_string())));
    let elsewhere = verify(&["--head", &format!("9:{}", "0".repeat(64))]);
    assert_eq!(code(&elsewhere), 1);
    assert_eq!(code(&verify(&["--head", "9"])), 2);
    std::fs::write(&file, log.replacen("two", "owt", 1)).unwrap();
    let bad = verify(&[]);
    assert_eq!(code(&bad), 1);
    assert!(text(&bad.stdout).contains("entry 2 (line 2)"), "{}", text(&bad.stdout));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(code(&verify(&[])), 2);
}
