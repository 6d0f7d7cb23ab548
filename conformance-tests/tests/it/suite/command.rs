//! The suite's command line, as a stranger meets it: exit codes, forms of report, and gRPC over TLS.

use std::process::{Command, Output};

use conformance_tests::tls::Authority;
use conformance_tests::{Agent, interpreter};
use tempfile::TempDir;

fn run(url: &str, arguments: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conformance-tests"));
    command.args(["--url", url]).args(arguments).envs(env.iter().copied());
    command.output().expect("the suite runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_says_whether_a_must_failed() {
    let agent = Agent::for_the_suite("worker");
    // The SDK's gRPC looks at no version (1.3.0): a MUST.
    for (arguments, code, word) in [
        (["--binding", "grpc", "--only", "10.1-"], 0, "No MUST failed"),
        (["--binding", "grpc", "--only", "10.2-1"], 1, "--only 10.2-1"),
        (["--binding", "http+json", "--only", "8.6.1"], 0, "FAIL  SHOULD  8.6.1-1"),
        (["--binding", "grpc", "--only", "99.9"], 2, "99.9"),
        (["--binding", "soap", "--only", ""], 2, "possible values"),
    ] {
        let output = run(agent.url(), &arguments, &[]);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(word), "{arguments:?}: {}", said(&output));
    }
    let nowhere = run("http://127.0.0.1:1", &[], &[]);
    assert_eq!(nowhere.status.code(), Some(2), "{}", said(&nowhere));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_for_continuous_integration_is_xml() {
    let agent = Agent::for_the_suite("worker");
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("report.xml");
    let file = file.to_str().unwrap();
    let output = run(agent.url(), &["--only", "3.", "--scripted", "--format", "junit", "--out", file], &[]);
    assert!(output.stdout.is_empty(), "{}", said(&output));
    let read = "import sys, xml.etree.ElementTree as tree\n\
                suite = tree.parse(sys.argv[1]).getroot()\n\
                cases = suite.findall('testcase')\n\
                assert len(cases) == int(suite.get('tests')) > 50, suite.attrib\n\
                assert len(suite.findall('testcase/failure')) == int(suite.get('failures')), suite.attrib\n\
                assert len(suite.findall('testcase/skipped')) == int(suite.get('skipped')), suite.attrib";
    let parsed = Command::new(interpreter()).args(["-c", read, file]).output().unwrap();
    assert!(parsed.status.success(), "{}", said(&parsed));
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_is_judged_over_tls_where_the_card_says_https() {
    let authority = Authority::new();
    let agent = Agent::grpc_tls("worker", &authority.sign("agent", &["127.0.0.1"]));
    let trusted = authority.file();
    let arguments = ["--binding", "grpc", "--only", "10.1-"];
    let output = run(agent.url(), &arguments, &[("SSL_CERT_FILE", trusted.to_str().unwrap())]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("GRPC: HTTP 200, application/grpc"), "{}", said(&output));
    let strange = run(agent.url(), &arguments, &[]);
    assert_eq!(strange.status.code(), Some(1), "nobody trusts it: {}", said(&strange));
    assert!(said(&strange).contains("no answer"), "{}", said(&strange));
}
