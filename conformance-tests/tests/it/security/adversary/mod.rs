//! Adversaries on a running broker: sixteen at once, who hold real grants of real agents, tamper with them, lie about
//! where they stand, reach for more, replay, and race cancellation and revocation. What came of it is judged from the
//! operator's view and from the agents' own logs.

mod attack;
mod fleet;
mod verdict;

use std::sync::Arc;
use std::time::SystemTime;

use self::attack::Adversary;
use self::fleet::Fleet;

const ADVERSARIES: u64 = 16;
const ACTIONS: usize = 12;

/// Small numbers that look random, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// What they do is drawn from `BAILIWICK_SEED`, or from the clock; in which order the broker meets it, nobody says.
fn seed() -> u64 {
    let given = std::env::var("BAILIWICK_SEED").ok().map(|text| text.parse().expect("a number"));
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos();
    given.unwrap_or_else(|| u64::from(now()))
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_adversaries_at_once_get_nothing_outside_their_scope_and_budget() {
    let seed = seed();
    eprintln!("BAILIWICK_SEED={seed}");
    let fleet = Arc::new(Fleet::start().await);
    let adversaries: Vec<_> = (0..ADVERSARIES)
        .map(|number| {
            let dice = Dice((seed << 8 | number) | 1 << 40);
            let mut adversary = Adversary::new(Arc::clone(&fleet), number, dice);
            tokio::spawn(async move {
                for _ in 0..ACTIONS {
                    adversary.act().await;
                }
            })
        })
        .collect();
    for adversary in adversaries {
        adversary.await.expect("an adversary got nothing it should not");
    }
    verdict::judge(&fleet).await;
}
