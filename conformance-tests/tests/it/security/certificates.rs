//! TLS towards callers, and callers that prove themselves by a certificate.

use std::path::Path;

use conformance_tests::tls::{Authority, Certified, Request};
use conformance_tests::wire::Answer;
use conformance_tests::{Broker, command};
use serde_json::{Value, json};

use super::api_keys::made_key;
use super::bearer;

/// A broker with a certificate, and authorities for itself and for its callers.
struct Secured {
    broker: Broker,
    authority: Authority,
}

fn files(cert: &Path, key: &Path) -> String {
    format!("cert = \"{}\"\nkey = \"{}\"\n", cert.display(), key.display())
}

impl Secured {
    fn start(callers: Option<&Authority>, more: &str) -> Self {
        let authority = Authority::new();
        let own = authority.sign("server", &["127.0.0.1"]);
        let ca = callers.map(|ca| format!("client_ca = \"{}\"\n", ca.file().display())).unwrap_or_default();
        let files = files(&own.cert_file, &own.key_file);
        Self { broker: Broker::start(&format!("[server.tls]\n{files}{ca}{more}")), authority }
    }

    async fn call(
        &self,
        who: Option<&Certified>,
        headers: &[(&str, &str)],
        protocol: &str,
    ) -> Result<Answer, String> {
        let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {} });
        let request = Request { protocol, path: "/", headers, body: Some(list) };
        self.authority.request(self.broker.address(), who, request).await
    }

    async fn assert(&self, who: Option<&Certified>, headers: &[(&str, &str)], status: u16, what: &str) {
        for protocol in ["h2", "http/1.1"] {
            let answer = self.call(who, headers, protocol).await.expect(what);
            assert_eq!(answer.status, status, "{what} over {protocol}: {}", answer.text);
            assert_eq!(answer.header("www-authenticate").is_some(), status == 401, "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_decide_where_they_are_shown() {
    let (callers, strangers) = (Authority::new(), Authority::new());
    let pinned = callers.sign("pinned", &[]);
    let worker = callers.sign("worker", &["spiffe://example.org/worker"]);
    let host = callers.sign("host", &["host.example.org", "other.example.org"]);
    let nobody = callers.sign("nobody", &["spiffe://example.org/worker/2", "nobody.example.org"]);
    let foreign = strangers.sign("foreign", &["spiffe://example.org/worker"]);
    let (key, digest) = made_key();
    let secured = Secured::start(
        Some(&callers),
        &format!(
            "[[principals]]\nname = \"pinned\"\ncert_sha256 = \"{}\"\n\
             [[principals]]\nname = \"worker\"\ncert_san = \"spiffe://example.org/worker\"\n\
             [[principals]]\nname = \"host\"\ncert_san = [\"host.example.org\"]\n\
             [[principals]]\nname = \"alice\"\nkey_sha256 = \"{digest}\"\n",
            pinned.sha256
        ),
    );
    let good = bearer(&key);
    for (who, name) in [(&pinned, "pinned"), (&worker, "worker"), (&host, "host")] {
        secured.assert(Some(who), &[], 200, name).await;
        secured.assert(Some(who), &[("Authorization", "Bearer wrong")], 401, "a bad header beside it").await;
        secured.assert(Some(who), &[("X-API-Key", "wrong")], 401, "a bad key beside it").await;
    }
    secured.assert(Some(&nobody), &[], 401, "a certificate of nobody's").await;
    secured.assert(Some(&nobody), &[("Authorization", &good)], 200, "the header decides").await;
    secured.assert(None, &[("Authorization", &good)], 200, "no certificate, but a key").await;
    secured.assert(None, &[("X-API-Key", &key)], 200, "the same, in the other header").await;
    secured.assert(None, &[], 401, "nothing").await;
    let refused = secured.call(Some(&foreign), &[], "http/1.1").await;
    assert!(refused.is_err(), "an authority nobody configured: no connection");

    let card = Request { protocol: "h2", path: "/.well-known/agent-card.json", headers: &[], body: None };
    let card = secured.authority.request(secured.broker.address(), None, card).await.unwrap().json();
    let schemes = card["securitySchemes"].as_object().unwrap();
    assert!(schemes["mtls"].get("mtlsSecurityScheme").is_some(), "{card}");
    assert_eq!(schemes["apiKey"]["apiKeySecurityScheme"]["name"], "X-API-Key");
    assert_eq!(schemes["apiKey"]["apiKeySecurityScheme"]["location"], "header");
    assert_eq!(schemes["bearer"]["httpAuthSecurityScheme"]["scheme"], "Bearer");
    let url = card["supportedInterfaces"][0]["url"].as_str().unwrap();
    assert!(url.starts_with("https://"), "{url}");
    for requirement in card["securityRequirements"].as_array().unwrap() {
        let named: Vec<&String> = requirement["schemes"].as_object().unwrap().keys().collect();
        assert!(named.len() == 1 && schemes.contains_key(named[0]), "{requirement}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_without_client_certificates_serves_open_mode_and_plain_http_gets_nothing() {
    let secured = Secured::start(None, "");
    let unasked = Authority::new().sign("caller", &["caller.example.org"]);
    for who in [None, Some(&unasked)] {
        secured.assert(who, &[], 200, "open mode; certificates are not asked for").await;
        secured.assert(who, &[("Authorization", "Bearer wrong")], 401, "a bad credential").await;
    }
    let plain =
        conformance_tests::wire::raw(secured.broker.address(), b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(!plain.await.contains("ok"), "no answer in clear text");
    assert!(secured.call(None, &[], "h2").await.is_ok(), "and the broker goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_speak_tls_and_believe_whom_they_are_told_to() {
    let secured = Secured::start(None, "");
    let url = format!("https://{}", secured.broker.address());
    let told = |believed: Option<&Path>, arguments: &[&str]| {
        let mut command = command(&["--broker", &url]);
        if let Some(file) = believed {
            command.arg("--ca-file").arg(file);
        }
        let output = command.args(arguments).output().expect("the command runs");
        (
            output.status.success(),
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        )
    };
    let authority = secured.authority.file();
    let (good, said) = told(Some(&authority), &["agent", "list", "--json"]);
    assert!(good && said.contains("\"agents\""), "{said}");
    let (good, said) = told(None, &["agent", "list"]);
    assert!(
        !good && said.contains("certificate") && said.contains("--ca-file"),
        "nobody is believed unknown: {said}"
    );
    let (good, said) = told(Some(&authority.with_extension("none")), &["agent", "list"]);
    assert!(!good && said.contains("--ca-file") && said.contains("none"), "{said}");
    let jwks = format!("{url}/.well-known/jwks.json");
    let (good, said) = told(
        Some(&authority),
        &["grant", "verify", "--jwks", &jwks, "--audience", "a", "--issuer", "b", "x.y.z"],
    );
    assert!(!good && !said.contains("JWKS"), "the keys were got, and the token is none: {said}");
}

#[test]
fn a_configuration_check_names_files_that_do_not_fit() {
    let authority = Authority::new();
    let [one, other] = ["one", "other"].map(|name| authority.sign(name, &["127.0.0.1"]));
    let check = |cert: &Path, key: &Path| {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("bailiwick.toml");
        std::fs::write(&file, format!("[server.tls]\n{}", files(cert, key))).unwrap();
        let output =
            command(&["config", "check", "--json", "--config", file.to_str().unwrap()]).output().unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (good, told, _) = check(&one.cert_file, &one.key_file);
    assert!(good && serde_json::from_str::<Value>(&told).unwrap()["ok"] == true, "{told}");
    let (good, _, told) = check(&one.cert_file, &other.key_file);
    assert!(!good && told.contains("do not go together") && told.contains("other.key"), "{told}");
    let (good, _, told) = check(&one.cert_file.with_extension("none"), &one.key_file);
    assert!(!good && told.contains("server.tls.cert") && told.contains("one.none"), "{told}");
}
