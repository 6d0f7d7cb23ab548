//! The configuration: the commented file is the truth, and what is wrong is named by file, line, key and expectation.

use std::path::Path;

use broker::config::{Config, DEFAULT_TOML, Overrides};
use tempfile::TempDir;

fn load(text: &str, env: &[(&str, &str)]) -> Result<Config, String> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("bailiwick.toml");
    std::fs::write(&path, text).unwrap();
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(Some(&path), env, Overrides::default()).map_err(|error| error.to_string())
}

#[test]
fn the_commented_file_is_exactly_the_defaults_and_names_every_key() {
    assert_eq!(load(DEFAULT_TOML, &[]).unwrap(), Config::default());
    let all = Config::default().to_toml();
    // Lists of tables are shown as commented examples.
    let keys: Vec<&str> = all
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .filter(|(_, value)| *value != "[]")
        .map(|(key, _)| key)
        .collect();
    for key in &keys {
        assert!(DEFAULT_TOML.contains(&format!("\n{key} = ")), "{key} is not in config.default.toml");
    }
    let manual = include_str!("../../../docs/configuration.md");
    for key in &keys {
        assert!(manual.contains(&format!("`{key}`")), "{key} is not in docs/configuration.md");
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (text, expected) in [
        ("[server]\nlisten = 7\n", &["bailiwick.toml", "line 2", "listen"] as &[&str]),
        ("[server]\nlisen = \"127.0.0.1:1\"\n", &["line 2", "lisen", "listen"]),
        ("[sever]\n", &["line 1", "sever", "server"]),
        ("[limits]\nsilence = \"10 parsecs\"\n", &["line 2", "500ms", "10 parsecs"]),
        ("[server]\nbody_limit = \"4MB\"\n", &["line 2", "4MiB"]),
        ("[server\n", &["line 1"]),
        ("[server]\nlisten = \"0.0.0.0:8420\"\n", &["principals", "allow_open_anywhere", "127.0.0.1"]),
        ("[[agents]]\nname = \"Bad Name\"\nurl = \"x\"\n", &["agents.name", "[a-z0-9]"]),
        ("[[agents]]\nname = \"tasks\"\nurl = \"x\"\n", &["path segments"]),
        (
            "[[agents]]\nname = \"a\"\nurl = \"x\"\ncaps = [\"mcp:tool/x{\"]\n",
            &["agents.caps of a", "byte 11"],
        ),
        ("[[principals]]\nname = \"a\"\n", &["exactly one of key_sha256, key_env, key_file"]),
        ("[[principals]]\nname = \"a\"\nkey_sha256 = \"xyz\"\n", &["64 hexadecimal digits"]),
        ("[[principals]]\nname = \"a\"\nrole = \"agent\"\nkey_sha256 = \"\"\n", &["the agent it is"]),
        (
            "[[principals]]\nname = \"a\"\nkey_env = \"BAILIWICK_TEST_UNSET\"\n",
            &["BAILIWICK_TEST_UNSET is not set"],
        ),
    ] {
        let problem = load(text, &[]).expect_err(text);
        for word in expected {
            assert!(problem.contains(word), "{text:?} should mention {word:?}: {problem}");
        }
    }
    let missing =
        Config::load(Some(Path::new("/nowhere.toml")), [], Overrides::default()).unwrap_err().to_string();
    assert!(missing.contains("/nowhere.toml") && missing.contains("--config"), "{missing}");
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = "[server]\nlisten = \"127.0.0.1:1\"\n[store]\nfsync = true\n";
    let env = [
        ("BAILIWICK_SERVER_LISTEN", "127.0.0.1:2"),
        ("BAILIWICK_STORE_FSYNC", "false"),
        ("BAILIWICK_LIMITS_SILENCE", "5s"),
        ("BAILIWICK_KEY", "x"),
        ("PATH", "y"),
    ];
    let config = load(file, &env).unwrap();
    assert_eq!(config.server.listen.port(), 2);
    assert!(!config.store.fsync);
    assert_eq!(config.limits().silence_ms, 5_000);
    let overrides = Overrides { listen: Some("127.0.0.1:3".parse().unwrap()), data: None };
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(Config::load(None, env, overrides).unwrap().server.listen.port(), 3);
    let problem = load("", &[("BAILIWICK_LIMITS_SILENCE", "soon")]).unwrap_err();
    assert!(problem.contains("BAILIWICK_LIMITS_SILENCE") && problem.contains("soon"), "{problem}");
    let problem = load("", &[("BAILIWICK_LIMITS_SILENSE", "5s")]).unwrap_err();
    assert!(problem.contains("no key limits.silense"), "{problem}");
}

#[test]
fn secrets_are_not_printed() {
    let hash = "ab".repeat(32);
    let config = load(&format!("[[principals]]\nname = \"a\"\nkey_sha256 = \"{hash}\"\n"), &[]).unwrap();
    assert!(!config.to_toml().contains(&hash));
}
