//! One life after another over the same world: a broker, or several that share a store, on a runtime whose end is the death
//! of all.

use std::sync::Arc;
use std::time::Duration;

use broker::config::Config;
use broker::service::{
    AdmissionOptions, AgentView, Broker, CallerSettings, CardOptions, Credential, Keep, NewAgent, Parts,
    Principal, Principals, ProbeOptions, Proof, PushOptions, QuotaTable, Recovery, Retention, Role, Settings,
};
use broker_core::Limits;
use capability::Scope;
use serde_json::json;

use super::agents::{NAMES, caps};
use super::callers::Conversation;
use super::members::Gate;
use super::network::Network;
use super::sessions::{self, PEOPLE};
use super::store::SimStore;
use super::world::{SimClock, World};
use super::{agents, probes};

/// How long after the last fault everything must be over: the longest deadline, and what it takes to end then.
const HORIZON: i64 = 420_000;

pub(crate) const LIMITS: fn() -> Limits = || Limits {
    max_depth: 3,
    max_fanout: 3,
    max_live_tasks: 6,
    default_deadline_ms: 300_000,
    silence_ms: 30_000,
    unknown_hold_ms: 20_000,
    cancel_ms: 3_000,
    backoff_ms: 200,
    max_backoff_ms: 2_000,
    ..Limits::default()
};

/// What people's root tasks hold.
pub(crate) fn scope_of(person: &str) -> Scope {
    match person {
        "alice" => Scope::top(),
        _ => Scope::parse(["a2a:skill/*/read", "a2a:skill/*/plan", "a2a:skill/fay/*"]).unwrap(),
    }
}

/// Lives through the history of a seed to its end.
pub(crate) fn live_through(seed: u64) -> Arc<World> {
    let world = World::new(seed);
    loop {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let is_over = runtime.block_on(async {
            world.begin_life();
            let living = tokio::spawn(live(Arc::clone(&world)));
            tokio::spawn(stop_with_the_store(Arc::clone(&world)));
            let is_over = tokio::select! {
                biased;
                () = world.dying.notified() => false,
                lived = living => lived.is_ok(),
            };
            world.end_life();
            is_over
        });
        drop(runtime);
        if is_over {
            return world;
        }
        world.pause();
    }
}

/// One life: it ends by being dropped, or when there is nothing left to happen.
async fn live(world: Arc<World>) {
    let world = &world;
    tokio::spawn(probes::pry(Arc::clone(world)));
    tokio::spawn(crash(Arc::clone(world)));
    for name in NAMES {
        tokio::spawn(crash_agent(Arc::clone(world), name));
    }
    loop {
        world.lock().arrive_late();
        let vacancies = world.lock().vacancies();
        for place in vacancies {
            tokio::spawn(open(world.enter(place)));
        }
        let jobs = world.lock().agents.hire();
        for (name, number) in jobs {
            tokio::spawn(agents::work(Arc::clone(world), name, number));
        }
        for number in sessions::hire(world) {
            tokio::spawn(Conversation::new(world, number).go_on());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        if world.lock().is_over() {
            return nothing_is_left_taken(world).await;
        }
        let mut state = world.lock();
        if state.now() > state.weather.calm_from + HORIZON {
            let open = state.open_trees();
            let waiting = state.sessions.iter().filter(|session| !session.is_over());
            let waiting: Vec<String> = waiting.map(|session| session.message.message_id.clone()).collect();
            let what = format!("it never ends: open are {open:?}, somebody waits for {waiting:?}");
            return state.broken("2", &what);
        }
    }
}

/// With every task over, no agent is busy and nobody waits for one.
async fn nothing_is_left_taken(world: &World) {
    // What is durable is known to the broker a moment later.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (_, key) = PEOPLE[0];
    let brokers = world.lock().brokers();
    for broker in brokers {
        let caller = broker.authenticate(Some(&Credential::Bearer(key.to_owned()))).await.unwrap();
        for agent in broker.list_agents(&caller) {
            let AgentView { name, busy, waiting, .. } = agent;
            if (busy, waiting) != (0, 0) {
                let what = format!("all is over, and {name} has {busy} busy and {waiting} waiting");
                world.broken("places", &what);
            }
        }
    }
}

/// A broker comes up, as soon as the store has it; one that shares a store is started anew until it has.
async fn open(gate: Gate) {
    let is_shared = gate.world.lock().weather.brokers > 1;
    if is_shared {
        tokio::spawn(gate.clone().keep_lease());
    }
    loop {
        match start(&gate).await {
            Some(broker) => return gate.opens(broker),
            None if is_shared => return gate.gives_up(),
            None => tokio::time::sleep(Duration::from_millis(500)).await,
        }
    }
}

/// A broker as `app.rs` starts one; `None` if the store would not have it.
async fn start(gate: &Gate) -> Option<Arc<Broker>> {
    let world = &gate.world;
    let skew = {
        let mut state = world.lock();
        let most = state.weather.skew;
        state.chance.between(-most, most)
    };
    let network = Arc::new(Network(gate.clone()));
    let parts = Parts {
        store: Arc::new(SimStore(gate.clone())),
        downstream: Arc::<Network>::clone(&network),
        discovery: Arc::<Network>::clone(&network),
        fetch: Arc::<Network>::clone(&network),
        notifier: network,
        clock: Arc::new(SimClock { world: Arc::clone(world), skew }),
        stages: broker::service::Stages::default(),
        embedder: crate::embedder(),
        weights: broker_selection::Weights::shipped("static").unwrap(),
        traces: None,
        peers: None,
    };
    let principal = |(name, key): (&str, &str)| Principal {
        name: name.to_owned(),
        role: Role::User,
        scope: scope_of(name),
        proofs: vec![Proof::of_key(key)],
    };
    let settings = Settings {
        public_url: "http://127.0.0.1:1".to_owned(),
        limits: LIMITS(),
        recovery: Recovery {
            ask_every: Duration::from_millis(200),
            give_up: Duration::from_secs(10),
            absent_after: Duration::from_secs(1),
            ..Recovery::default()
        },
        admission: AdmissionOptions::default(),
        quotas: QuotaTable::new(Some(1_000)),
        keep: Keep { idle: 0, finished: 2, finished_bytes: 1 << 20 },
        retention: Retention::default(),
        callers: CallerSettings {
            principals: Principals::new(PEOPLE.map(principal).into()).unwrap(),
            ..CallerSettings::default()
        },
        secret_dir: None,
        grants: Config::default().grant_options(),
        card_keys: Config::default().card_options(),
        acceptance: broker::service::AcceptanceOptions::default(),
        refusal_window: Duration::from_secs(10),
        push: PushOptions { give_up: Duration::from_secs(5), ..Config::default().push_options() },
        card_life: CardOptions::default(),
        probing: ProbeOptions::default(),
        selection: broker::config::Config::default().selection.options(),
    };
    let broker = Broker::new(parts, settings);
    let agent = |name: &str| -> NewAgent {
        let (url, at_once) = (format!("http://{name}.example"), world.lock().agents.agent(name).at_once);
        let agent = json!({ "name": name, "url": url, "caps": caps(name), "max_concurrent": at_once });
        serde_json::from_value(agent).unwrap()
    };
    broker.load_keys().await.ok()?;
    broker.load_push_key().await.ok()?;
    broker.load_agents(NAMES.map(agent).into()).await.ok()?;
    broker.start().await.ok()?;
    // Nobody else may be this broker from now on: it has begun to speak with agents.
    while broker.take_up_all().await.is_err() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Some(broker)
}

/// The deaths that are due, as far as this life goes.
async fn crash(world: Arc<World>) {
    loop {
        let now = world.now();
        let next = world.lock().weather.crashes.iter().copied().find(|at| *at > now);
        let Some(at) = next else { return };
        world.sleep_until(at).await;
        world.befall().await;
    }
}

/// A broker whose store takes nothing more stops, as `app.rs` has it; a moment later, in which it may do what it should not.
async fn stop_with_the_store(world: Arc<World>) {
    world.until_broken().await;
    let moment = world.lock().chance.below(100);
    tokio::time::sleep(Duration::from_millis(moment)).await;
    world.die::<()>("with its store").await;
}

async fn crash_agent(world: Arc<World>, name: &'static str) {
    loop {
        let next = {
            let mut state = world.lock();
            let crashes = &mut state.agents.agent(name).crashes;
            if crashes.is_empty() { None } else { Some(crashes.remove(0)) }
        };
        let Some((at, pause)) = next else { return };
        world.sleep_until(at).await;
        world.lock().crash_agent(name, pause);
    }
}
