//! The card: found, complete, cacheable, signed as the specification says (spec §8, §4.4, §14.3).

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::suite::bench::Bench;
use crate::suite::check::{Finding, Stop, checks, ensure, fail, shown, skip};
use crate::suite::http::{Manner, Reply};
use crate::suite::shape::{self, list};

checks! {
    Server the_card_is_at_its_well_known_place;
    Server the_card_has_what_it_must;
    Server the_card_is_named_in_camel_case;
    Server interfaces_are_declared_with_absolute_urls;
    Server interfaces_answer_where_they_are_declared;
    Server skills_have_ids_of_their_own;
    Server the_card_names_versions_without_a_patch;
    Server the_card_says_how_long_it_lives;
    Server the_card_has_an_entity_tag;
    Server an_unchanged_card_is_not_sent_again;
    Server signatures_name_algorithm_and_key;
    Server signatures_say_they_are_jose;
    Server signed_cards_leave_defaults_out;
    Server the_card_holds_no_credentials;
}

async fn fetch(bench: &Bench, manner: &Manner) -> Result<Reply, Stop> {
    bench.server.http.exchange("GET", &bench.server.card_url, None, manner, Vec::new()).await
}

async fn the_card_is_at_its_well_known_place(bench: &Bench) -> Finding {
    let reply = fetch(bench, &Manner::plain(None).version(None)).await?;
    ensure!(reply.status == 200, "HTTP {} for a plain GET", reply.status);
    let media = reply.media_type();
    let json = media == "application/json" || media.ends_with("+json");
    ensure!(json, "the card's type is {media}");
    ensure!(reply.json()?.is_object(), "no object: {}", shown(&reply.text));
    Ok(format!("{media} at {}", bench.server.card_url))
}

async fn the_card_has_what_it_must(bench: &Bench) -> Finding {
    let wrong = shape::card(&bench.server.card);
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    Ok(format!("the card of {}", bench.server.card["name"]))
}

async fn the_card_is_named_in_camel_case(bench: &Bench) -> Finding {
    let wrong = shape::names(&bench.server.card);
    ensure!(wrong.is_empty(), "{}", wrong.join(", "));
    Ok("every member".into())
}

async fn interfaces_are_declared_with_absolute_urls(bench: &Bench) -> Finding {
    let mut seen = Vec::new();
    for interface in list(&bench.server.card["supportedInterfaces"]) {
        let (binding, url) = (&interface["protocolBinding"], interface["url"].as_str().unwrap_or_default());
        let version = interface["protocolVersion"].as_str().unwrap_or_default();
        let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        ensure!(version.split('.').all(digits), "{binding} has the version {version:?}");
        let absolute = url.starts_with("https://") || url.starts_with("http://");
        ensure!(binding == "GRPC" || absolute || !binding.is_string(), "{binding} has the URL {url:?}");
        seen.push(format!("{binding} {version}"));
    }
    Ok(seen.join(", "))
}

async fn interfaces_answer_where_they_are_declared(bench: &Bench) -> Finding {
    let mut seen = Vec::new();
    for binding in &bench.server.bindings {
        let here = Bench { server: bench.server.clone(), binding: binding.clone() };
        let params = serde_json::json!({ "id": "conformance-nobody" });
        let fault = here.refused(crate::suite::operation::GET, &params).await?;
        let known = fault.must_be(crate::suite::operation::TASK_NOT_FOUND).is_ok();
        let known = known || fault.is_refusal_of_credentials();
        ensure!(known, "{} does not answer at {}: {}", binding.kind.name(), binding.url, fault.seen());
        seen.push(binding.kind.name());
    }
    Ok(seen.join(", "))
}

async fn skills_have_ids_of_their_own(bench: &Bench) -> Finding {
    let mut ids: Vec<String> =
        list(&bench.server.card["skills"]).iter().map(|skill| skill["id"].to_string()).collect();
    let all = ids.len();
    ids.sort();
    ids.dedup();
    ensure!(ids.len() == all, "{} skills share ids", all - ids.len());
    Ok(format!("{all} skills"))
}

async fn the_card_names_versions_without_a_patch(bench: &Bench) -> Finding {
    let versions = list(&bench.server.card["supportedInterfaces"]).iter();
    let versions: Vec<&str> =
        versions.filter_map(|interface| interface["protocolVersion"].as_str()).collect();
    let patched = versions.iter().find(|version| version.split('.').count() > 2);
    ensure!(patched.is_none(), "an interface of version {}", patched.unwrap_or(&""));
    Ok(versions.join(", "))
}

async fn the_card_says_how_long_it_lives(bench: &Bench) -> Finding {
    match bench.server.card_reply.header("cache-control") {
        Some(value) if value.contains("max-age=") => Ok(value.to_owned()),
        Some(value) => fail(format!("Cache-Control without max-age: {value}")),
        None => fail("no Cache-Control"),
    }
}

async fn the_card_has_an_entity_tag(bench: &Bench) -> Finding {
    match bench.server.card_reply.header("etag") {
        Some(tag) => Ok(tag.to_owned()),
        None => fail("no ETag"),
    }
}

async fn an_unchanged_card_is_not_sent_again(bench: &Bench) -> Finding {
    let Some(tag) = bench.server.card_reply.header("etag") else { return fail("no ETag to ask with") };
    let reply = fetch(bench, &bench.manner().header("if-none-match", tag)).await?;
    ensure!(reply.status == 304, "asked with its own ETag, HTTP {}", reply.status);
    Ok("304".into())
}

/// The protected headers of the card's signatures.
fn protected(bench: &Bench) -> Result<Vec<Value>, Stop> {
    let signatures = list(&bench.server.card["signatures"]);
    if signatures.is_empty() {
        return skip("the card is not signed");
    }
    signatures
        .iter()
        .map(|signature| {
            let text = signature["protected"].as_str().unwrap_or_default();
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
            let header = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
            header.ok_or_else(|| Stop::Fail(format!("a protected header that is no base64url JSON: {text}")))
        })
        .collect()
}

async fn signatures_name_algorithm_and_key(bench: &Bench) -> Finding {
    let headers = protected(bench)?;
    for header in &headers {
        for member in ["alg", "kid"] {
            ensure!(header[member].is_string(), "a protected header without {member}: {header}");
        }
        ensure!(header["alg"] != "none", "a signature with the algorithm none");
    }
    Ok(shown(&headers[0]))
}

async fn signatures_say_they_are_jose(bench: &Bench) -> Finding {
    for header in protected(bench)? {
        ensure!(header["typ"] == "JOSE", "typ is {}", header["typ"]);
    }
    Ok("typ JOSE".into())
}

async fn signed_cards_leave_defaults_out(bench: &Bench) -> Finding {
    protected(bench)?;
    let mut wrong = Vec::new();
    for name in ["provider", "documentationUrl", "iconUrl", "securitySchemes", "securityRequirements"] {
        if bench.server.card.get(name).is_some_and(Value::is_null) {
            wrong.push(name);
        }
    }
    ensure!(wrong.is_empty(), "a signed card with members that are null: {}", wrong.join(", "));
    Ok("no member is null".into())
}

async fn the_card_holds_no_credentials(bench: &Bench) -> Finding {
    let text = bench.server.card_reply.text.to_lowercase();
    let words = ["private_key", "-----begin", "client_secret\"", "\"password\":\""];
    let found = words.into_iter().find(|word| text.contains(word));
    ensure!(found.is_none(), "the card contains {found:?}");
    if let Some(token) = &bench.server.subject.token {
        ensure!(
            !bench.server.card_reply.text.contains(token.as_str()),
            "the card contains the caller's token"
        );
    }
    Ok("none that could be recognized".into())
}
