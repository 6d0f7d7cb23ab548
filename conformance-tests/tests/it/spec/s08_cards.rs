//! Cards: found where they should be, cacheable, honest about who serves (spec §8).

use conformance_tests::{Agent, Broker, wire};

#[tokio::test(flavor = "multi_thread")]
async fn cards_name_the_broker_and_can_be_cached() {
    let broker = Broker::start("");
    let agent = Agent::scripted("worker");
    broker.add_agent("worker", agent.url(), &[]).await;
    let own = wire::get(&format!("{}/.well-known/agent-card.json", broker.url())).await;
    assert_eq!(own.json()["name"], "bailiwick");

    let url = format!("{}/.well-known/agent-card.json", broker.agent_url("worker"));
    let card = wire::get(&url).await;
    let json = card.json();
    assert_eq!(json["name"], "worker");
    let interfaces = json["supportedInterfaces"].as_array().unwrap();
    assert_eq!(interfaces.len(), 3, "{interfaces:?}");
    for interface in interfaces {
        if interface["protocolBinding"] == "GRPC" {
            // Its interfaces are a host and a port, so the tenant names the agent.
            assert_eq!(
                (&interface["url"], &interface["tenant"]),
                (&broker.address().into(), &"worker".into())
            );
        } else {
            assert_eq!(interface["url"], broker.agent_url("worker"));
            assert!(interface.get("tenant").is_none());
        }
    }
    assert!(card.text.contains("urn:bailiwick:ext:delegation:v1"));
    assert!(card.header("cache-control").unwrap().contains("max-age"));
    assert!(card.header("last-modified").is_some());
    let tag = card.header("etag").expect("an entity tag").to_owned();
    for tag in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}")] {
        let again = wire::request("GET", &url, &[("If-None-Match", &tag)], Vec::new()).await;
        assert_eq!((again.status, again.text.as_str()), (304, ""), "{tag}");
    }

    let upstream =
        wire::get(&format!("{}/.well-known/upstream-agent-card.json", broker.agent_url("worker"))).await;
    let direct = wire::get(&format!("{}/.well-known/agent-card.json", agent.url())).await;
    assert_eq!(upstream.text, direct.text, "byte for byte");
    let absent = wire::get(&format!("{}/.well-known/agent-card.json", broker.agent_url("nobody"))).await;
    assert_eq!(absent.status, 404);
}
