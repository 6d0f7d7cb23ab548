//! The load balancers of `deploy/`, as they are there but for the addresses: a tree of agents and a stream go through, and go
//! on when a broker is killed.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use conformance_tests::{Agent, until, wire};
use private_postgres::lasting_port;
use serde_json::json;
use tempfile::TempDir;

use super::{Cluster, SHORT_LEASE, begin, ended};

/// One process that runs in the foreground, and ends with the test.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is configured in `deploy/`, for other addresses.
fn configured(file: &str, port: u16, brokers: &[String]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(file);
    let mut text = std::fs::read_to_string(path).expect("an example of a configuration");
    assert!(text.contains("8443"), "{file} names its port");
    text = text.replace("listen 8443", &format!("listen 127.0.0.1:{port}"));
    text = text.replace("bind :8443", &format!("bind 127.0.0.1:{port}"));
    for (number, broker) in brokers.iter().enumerate() {
        let address = format!("10.0.0.{}:8420", number + 1);
        assert!(text.contains(&address), "{file} names the broker {address}");
        text = text.replace(&address, broker);
    }
    text
}

/// Starts one; `None`, said aloud, where it is not installed.
async fn start(
    program: &str,
    file: &str,
    arguments: &[&str],
    brokers: &[String],
) -> Option<(Proxy, String, TempDir)> {
    let folder = TempDir::new().expect("a temporary folder");
    let port = lasting_port().expect("a port");
    std::fs::write(folder.path().join(file), configured(file, port, brokers)).expect("it is written");
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(child) = command.spawn() else {
        eprintln!("skipped: {program} is not installed (apt-get install {program})");
        return None;
    };
    let proxy = Proxy(child);
    let url = format!("http://127.0.0.1:{port}");
    until("the load balancer answers", async || wire::try_rpc(&url, "ListTasks", &json!({})).await.is_ok())
        .await;
    Some((proxy, url, folder))
}

async fn goes_on_behind(program: &str, file: &str, arguments: impl Fn(&Path) -> Vec<String>) {
    let Some(mut cluster) = Cluster::start_with("", SHORT_LEASE).await else { return };
    let agent = Agent::scripted("worker");
    cluster.add_agent(&agent, "worker", &[]).await;
    let brokers: Vec<String> = cluster.brokers.iter().map(|broker| broker.address().to_owned()).collect();
    let arguments = arguments(Path::new(file));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Some((_proxy, url, _folder)) = start(program, file, &arguments, &brokers).await else { return };
    let url = format!("{url}/agents/worker");
    let script = json!({ "delay_ms": 300, "chunks": ["a", "b", "c", "d"], "pace_ms": 300 });
    let mut stream =
        wire::stream(&url, "SendStreamingMessage", wire::message("streamed", &script.to_string()), None)
            .await;
    let first = stream.next().await.expect("events arrive as they are sent");
    let task = first.json.pointer("/task/id").and_then(|id| id.as_str()).expect("its task").to_owned();
    let mut tasks = vec![task.clone()];
    for number in 0..6 {
        tasks.push(begin(&url, &format!("m{number}"), &script).await);
    }
    cluster.brokers[0].end();
    for task in &tasks {
        assert_eq!(ended(&url, task).await["status"]["state"], "TASK_STATE_COMPLETED");
    }
    let all = wire::stream(&url, "SubscribeToTask", json!({ "id": task }), first.id).await.rest().await;
    assert!(all.last().and_then(wire::Event::state).is_some_and(|state| state.ends_with("COMPLETED")));
    assert_eq!(agent.logged("received").len(), tasks.len(), "each message once");
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_nginx_any_broker_will_do_and_one_may_go() {
    goes_on_behind("nginx", "nginx.conf", |file| {
        let file = file.display();
        let words = ["-p", ".", "-c", &file.to_string(), "-g", "daemon off; master_process off;"];
        words.map(str::to_owned).to_vec()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_haproxy_any_broker_will_do_and_one_may_go() {
    goes_on_behind("haproxy", "haproxy.cfg", |file| vec!["-f".to_owned(), file.display().to_string()]).await;
}
