//! The three bindings agree: one random history of operations, good and bad, played on each by a caller of its own,
//! gives the same results and the same errors. Ids and times are replaced by the order in which they appear; what
//! gRPC says is read by the official definition.
//!
//! A failure names its seed and its step: `SEED=7 cargo test bindings_agree` plays that history alone.

mod history;
mod player;

use conformance_tests::{Agent, Broker};

use self::history::{Step, random_history};
use self::player::{Binding, Outcome, Player};
use crate::security::api_keys::made_key;

/// Histories in a default run, and in a long one.
const HISTORIES: u64 = 10;
const LONG_HISTORIES: u64 = 200;
/// Steps of each.
const STEPS: usize = 30;

fn seeds() -> std::ops::Range<u64> {
    if let Some(seed) = std::env::var("SEED").ok().and_then(|text| text.parse::<u64>().ok()) {
        return seed..seed + 1;
    }
    let long = std::env::var_os("BAILIWICK_LONG").is_some();
    0..if long { LONG_HISTORIES } else { HISTORIES }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_random_history_on_each_binding_gives_the_same_results() {
    let keys = [made_key(), made_key(), made_key()];
    let principals: Vec<String> = keys
        .iter()
        .enumerate()
        .map(|(number, (_, digest))| {
            format!("[[principals]]\nname = \"p{number}\"\nrole = \"user\"\nkey_sha256 = \"{digest}\"\n")
        })
        .collect();
    let agent = Agent::scripted("worker");
    let config = format!(
        "[push]\nallow_loopback = true\n{}[[agents]]\nname = \"worker\"\nurl = \"{}\"\n",
        principals.concat(),
        agent.url()
    );
    let (mut refused, mut done, mut differences) = (0, 0, Vec::new());
    'histories: for seed in seeds() {
        let broker = Broker::start(&config);
        let mut players: Vec<Player> = Binding::ALL
            .into_iter()
            .zip(&keys)
            .enumerate()
            .map(|(number, (binding, (key, _)))| {
                Player::new(binding, &format!("p{number}"), &broker.url(), key)
            })
            .collect();
        for (number, step) in random_history(seed, STEPS).into_iter().enumerate() {
            let outcomes = play(&mut players, &step).await;
            for (player, outcome) in players.iter().zip(&outcomes).skip(1) {
                if *outcome != outcomes[0] {
                    let first = players[0].binding;
                    differences.push(format!(
                        "seed {seed}, step {number}: {step:?}\n{:?}: {outcome:?}\n{first:?}: {:?}",
                        player.binding, outcomes[0]
                    ));
                    // From here on they have different pasts.
                    continue 'histories;
                }
            }
            if outcomes[0].is_fault() { refused += 1 } else { done += 1 }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
    eprintln!("{done} operations done and {refused} refused, alike on three bindings");
    assert!(refused * 8 > done && done > refused, "histories of both kinds: {done} done, {refused} refused");
}

async fn play(players: &mut [Player], step: &Step) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    // One after the other: what one does must not be the weather of another.
    for player in players {
        outcomes.push(player.play(step).await);
    }
    outcomes
}
