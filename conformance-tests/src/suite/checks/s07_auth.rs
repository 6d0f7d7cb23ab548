//! Credentials: demanded where the card says so (spec §7.4, §3.3.2, §13.3).

use serde_json::json;

use crate::suite::bench::{Bench, message, new_id};
use crate::suite::binding::{Kind, UNAUTHENTICATED};
use crate::suite::check::{Finding, Stop, checks, ensure, skip};
use crate::suite::http::Manner;
use crate::suite::operation::{
    CANCEL, EXTENDED_AGENT_CARD_NOT_CONFIGURED, EXTENDED_CARD, GET, LIST, SEND, STREAM, SUBSCRIBE,
};
use crate::suite::server::bearer;
use crate::suite::shape;

checks! {
    Each calls_without_credentials_are_refused;
    Each calls_with_wrong_credentials_are_refused;
    Each a_refusal_carries_a_challenge;
    Each the_extended_card_demands_credentials;
    Each the_extended_card_is_a_card;
}

fn demands(bench: &Bench) -> Result<(), Stop> {
    if bench.server.demands_credentials() { Ok(()) } else { skip("the card demands no credentials") }
}

async fn calls_without_credentials_are_refused(bench: &Bench) -> Finding {
    demands(bench)?;
    refused_everywhere(bench, &Manner::plain(None)).await
}

async fn calls_with_wrong_credentials_are_refused(bench: &Bench) -> Finding {
    demands(bench)?;
    refused_everywhere(bench, &Manner::plain(Some(bearer("conformance-is-not-a-key")))).await
}

async fn refused_everywhere(bench: &Bench, manner: &Manner) -> Finding {
    let task = json!({ "id": new_id() });
    let operations = [
        (SEND, message("hello")),
        (GET, task.clone()),
        (LIST, json!({})),
        (CANCEL, task.clone()),
        (STREAM, message("hello")),
        (SUBSCRIBE, task),
    ];
    let mut seen = String::new();
    for (operation, params) in operations {
        let fault = bench.refused_as(operation, &params, manner).await?;
        let refused = fault.is_refusal_of_credentials();
        ensure!(refused, "{} was not refused for its credentials: {}", operation.method, fault.seen());
        seen = fault.seen();
    }
    Ok(seen)
}

async fn a_refusal_carries_a_challenge(bench: &Bench) -> Finding {
    demands(bench)?;
    let fault = bench.refused_as(LIST, &json!({}), &Manner::plain(None)).await?;
    let asks = match bench.binding.kind {
        Kind::JsonRpc | Kind::HttpJson => fault.status == 401,
        Kind::Grpc => fault.code() == Some(UNAUTHENTICATED),
    };
    ensure!(asks, "refused in a way that cannot carry a challenge: HTTP {}, {}", fault.status, fault.seen());
    let Some(challenge) = fault.challenge else {
        return Err(Stop::Fail("refused without WWW-Authenticate".into()));
    };
    Ok(challenge)
}

async fn the_extended_card_demands_credentials(bench: &Bench) -> Finding {
    bench.needs("extendedAgentCard")?;
    let fault = bench.refused_as(EXTENDED_CARD, &json!({}), &Manner::plain(None)).await?;
    ensure!(fault.is_refusal_of_credentials(), "not refused for its credentials: {}", fault.seen());
    Ok(fault.seen())
}

async fn the_extended_card_is_a_card(bench: &Bench) -> Finding {
    bench.needs("extendedAgentCard")?;
    if bench.server.subject.token.is_none() && bench.server.demands_credentials() {
        return skip("needs credentials (--token)");
    }
    match bench.binding.call(EXTENDED_CARD, &json!({}), &bench.manner()).await? {
        Ok(card) => {
            let wrong = shape::card(&card);
            ensure!(wrong.is_empty(), "{}", wrong.join("; "));
            Ok(format!("the card of {}", card["name"]))
        }
        Err(fault) if fault.is_refusal_of_credentials() => skip("needs credentials (--token)"),
        Err(fault) => {
            fault.must_be(EXTENDED_AGENT_CARD_NOT_CONFIGURED)?;
            Ok(fault.seen())
        }
    }
}
