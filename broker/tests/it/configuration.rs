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
        ("[server]\nmax_connections = 0\n", &["server.max_connections", "at least 1"]),
        ("[store]\nqueue = 0\n", &["store.queue", "at least 1"]),
        ("[store]\nconnections = 0\n", &["store.connections", "at least 1"]),
        (
            "[store]\nurl = \"postgres://u:s3cret@h:port/d\"\n",
            &["store.url", "postgres://user@host/database"],
        ),
        ("[cluster]\nlease = \"0s\"\n", &["cluster.lease", "longer than 0s"]),
        ("[cluster]\nurl = \"10.0.0.3:8420\"\n", &["cluster.url", "http://10.0.0.3:8420"]),
        (
            "[server]\nlisten = \"0.0.0.0:8420\"\nallow_open_anywhere = true\n[store]\nurl = \"postgres://u@h/d\"\n",
            &["cluster.url", "server.listen is 0.0.0.0:8420"],
        ),
        (
            "[server]\nbody_limit = \"1GiB\"\n",
            &["max_body_memory is 256MiB", "at least 1048584KiB", "body_limit"],
        ),
        ("[southbound]\ncard_drift = \"ignore\"\n", &["line 2", "accept", "review"]),
        ("[southbound]\ncard_min_refresh = \"48h\"\n", &["card_min_refresh is 2d", "card_max_refresh, 1d"]),
        ("[southbound]\nprobe_message = \"\"\n", &["probe_message", "ping"]),
        (
            "[selection.embeddings]\nurl = \"http://a/v1\"\nmodel = \"m\"\ndimensions = 3072\n",
            &["selection.embeddings.dimensions", "1 to 1024", "3072", "shorten"],
        ),
        ("[selection.reranker]\ntop = 20\n", &["selection.reranker.top", "2 to 19", "20"]),
        ("[selection.reranker]\nweight = 0.0\n", &["selection.reranker.weight", "above 0"]),
        ("[selection.reranker]\nurl = \"llm:8000\"\n", &["selection.reranker.url", "http", "/v1"]),
        ("[selection.reranker]\nurl = \"http://a/v1\"\n", &["selection.reranker.model", "endpoint"]),
        ("[server]\nlisten = \"0.0.0.0:8420\"\n", &["principals", "allow_open_anywhere", "127.0.0.1"]),
        ("[[agents]]\nname = \"Bad Name\"\nurl = \"x\"\n", &["agents.name", "[a-z0-9]"]),
        ("[[agents]]\nname = \"tasks\"\nurl = \"x\"\n", &["path segments"]),
        (
            "[[agents]]\nname = \"a\"\nurl = \"x\"\ncaps = [\"mcp:tool/x{\"]\n",
            &["agents.caps of a", "byte 11"],
        ),
        (
            "[[principals]]\nname = \"a\"\n",
            &["at least one of key_sha256, key_env, key_file", "bailiwick key new"],
        ),
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
fn what_is_wrong_with_callers_is_named() {
    let digest = "ab".repeat(32);
    let alice = |rest: &str| format!("[[principals]]\nname = \"alice\"\n{rest}\n");
    let issuer =
        |rest: &str| format!("[[issuers]]\nname = \"corp\"\nissuer = \"https://i.example\"\n{rest}\n");
    let key = format!("key_sha256 = \"{digest}\"");
    let bob = format!("[[principals]]\nname = \"bob\"\n{key}\n");
    for (text, expected) in [
        (alice("key_env = \"BAILIWICK_TEST_EMPTY\""), &["BAILIWICK_TEST_EMPTY"] as &[&str]),
        (alice("key_file = \"/dev/null\""), &["/dev/null", "at least 16 bytes"]),
        (alice("key_sha256 = [1]"), &["a text or a list of texts"]),
        (alice(&format!("key_sha256 = [\"{digest}\", \"+{}\"]", &digest[1..])), &["64 hexadecimal digits"]),
        (alice(&key) + &alice("key_sha256 = []"), &["at least one of"]),
        (alice(&key) + &alice(&format!("key_sha256 = \"{}\"", "cd".repeat(32))), &["alice", "stands twice"]),
        (alice(&key) + &bob, &["alice", "bob", "same credential"]),
        (alice("cert_san = \"a.example\""), &["principals.alice", "server.tls.client_ca"]),
        (alice("cert_san = \"A.example\""), &["lower case"]),
        (alice("jwt = { issuer = \"corp\", subject = \"a\" }"), &["\"corp\"", "[[issuers]]"]),
        (issuer("") + &issuer(""), &["issuers.corp", "stands twice"]),
        (issuer("algorithms = [\"HS256\"]"), &["HS256", "EdDSA"]),
        (issuer("algorithms = []"), &["at least one of EdDSA"]),
        (issuer("operator_claim = \"roles\""), &["claim=value"]),
        (issuer("jwks_url = \"http://i.example/keys\""), &["jwks_url", "https"]),
        (issuer("jwks_min_refetch = \"2h\""), &["jwks_min_refetch <= jwks_refresh"]),
        (alice(&format!("{key}\naccount = \"acme\"")), &["principals.alice.account", "[[accounts]]", "acme"]),
        ("[[accounts]]\nname = \"acme\"\npolicy = [\"x\"]\n".to_owned(), &["accounts.acme.policy"]),
        (issuer("scope = [\"x\"]"), &["issuers.corp: scope"]),
        ("[[issuers]]\nname = \"a\"\nissuer = \"http://127.0.0.1:8420\"".to_owned(), &["broker's own URL"]),
        ("[[issuers]]\nname = \"a\"\nissuer = \"http://i.example\"".to_owned(), &["issuer", "https"]),
        ("[server.tls]\ncert = \"a.pem\"\n".to_owned(), &["server.tls.key"]),
        ("[server.tls]\nclient_ca = \"a.pem\"\n".to_owned(), &["no principal has cert_sha256"]),
        (
            "[server.tls]\ncert = \"/nowhere.pem\"\nkey = \"/nowhere.pem\"\n".to_owned(),
            &["server.tls.cert /nowhere.pem"],
        ),
    ] {
        let problem = load(&text, &[]).expect_err(&text);
        for word in expected {
            assert!(problem.contains(word), "{text:?} should mention {word:?}: {problem}");
        }
    }
    let open_to_the_world = "[server]\nlisten = \"0.0.0.0:8420\"\n".to_owned() + &issuer("");
    assert!(!load(&open_to_the_world, &[]).unwrap().is_open(), "with an issuer nobody is anonymous");
}

#[test]
fn certificates_and_keys_must_go_together() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name).display().to_string()
    };
    let [one, other] = ["one.example", "other.example"]
        .map(|name| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap());
    let cert = write("one.pem", &one.cert.pem());
    let own = write("one.key", &one.signing_key.serialize_pem());
    let foreign = write("other.key", &other.signing_key.serialize_pem());
    let garbage = write("garbage.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let tls = |cert: &str, key: &str| format!("[server.tls]\ncert = \"{cert}\"\nkey = \"{key}\"\n");

    let config = load(&tls(&cert, &own), &[]).unwrap();
    assert_eq!(config.public_url(), "https://127.0.0.1:8420");
    let variables = [("BAILIWICK_SERVER_TLS_CERT", cert.as_str()), ("BAILIWICK_SERVER_TLS_KEY", &own)];
    assert!(load("", &variables).unwrap().server.tls.is_on());
    for (cert, key, expected) in [
        (&cert, &foreign, "do not go together"),
        (&own, &own, "expected at least one certificate"),
        (&cert, &cert, "expected a private key"),
        (&garbage, &own, "do not go together"),
    ] {
        let problem = load(&tls(cert, key), &[]).unwrap_err();
        assert!(problem.contains(expected), "{problem}");
        assert!(!problem.contains("BEGIN"), "no file's content is shown: {problem}");
    }
    let ca = format!(
        "{}client_ca = \"{own}\"\n[[principals]]\nname = \"a\"\ncert_san = \"a.example\"\n",
        tls(&cert, &own)
    );
    assert!(load(&ca, &[]).unwrap_err().contains("server.tls.client_ca"));
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = "[server]\nlisten = \"127.0.0.1:1\"\n[store]\nfsync = true\n";
    let env = [
        ("BAILIWICK_SERVER_LISTEN", "127.0.0.1:2"),
        ("BAILIWICK_STORE_FSYNC", "false"),
        ("BAILIWICK_LIMITS_SILENCE", "5s"),
        ("BAILIWICK_SELECTION_THRESHOLD", "0.75"),
        ("BAILIWICK_KEY", "x"),
        ("PATH", "y"),
    ];
    let config = load(file, &env).unwrap();
    assert_eq!(config.server.listen.port(), 2);
    assert!(!config.store.fsync);
    assert_eq!(config.limits().silence_ms, 5_000);
    assert!((config.selection.threshold - 0.75).abs() < f32::EPSILON);
    let overrides = Overrides { listen: Some("127.0.0.1:3".parse().unwrap()), data: None };
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(Config::load(None, env, overrides).unwrap().server.listen.port(), 3);
    let problem = load("", &[("BAILIWICK_LIMITS_SILENCE", "soon")]).unwrap_err();
    assert!(problem.contains("BAILIWICK_LIMITS_SILENCE") && problem.contains("soon"), "{problem}");
    let problem = load("", &[("BAILIWICK_SELECTION_THRESHOLD", "7")]).unwrap_err();
    assert!(problem.contains("selection.threshold: expected a number from 0 to 1"), "{problem}");
    let problem = load("", &[("BAILIWICK_LIMITS_SILENSE", "5s")]).unwrap_err();
    assert!(problem.contains("no key limits.silense"), "{problem}");
}

#[test]
fn secrets_are_not_printed() {
    let hash = "ab".repeat(32);
    let config = load(&format!("[[principals]]\nname = \"a\"\nkey_sha256 = \"{hash}\"\n"), &[]).unwrap();
    assert!(!config.to_toml().contains(&hash));
}

#[test]
fn the_key_of_a_model_is_named_and_never_repeated() {
    let stage = "[selection.reranker]\nurl = \"http://127.0.0.1:8000/v1\"\nmodel = \"m\"\n";
    let config = load(stage, &[("BAILIWICK_SELECTION_RERANKER_KEY_ENV", "MODEL_KEY")]).unwrap();
    assert_eq!(config.selection.reranker.key().unwrap().to_string(), "the variable MODEL_KEY");
    assert_eq!(config.selection.reranker.model, "m");
    let problem = load(&format!("{stage}key_env = \"sk-verysecret\"\n"), &[]).unwrap_err();
    assert!(problem.contains("key_env") && !problem.contains("verysecret"), "{problem}");
    let both = load(&format!("{stage}key_env = \"A\"\nkey_file = \"b\"\n"), &[]).unwrap_err();
    assert!(both.contains("found both"), "{both}");
}
