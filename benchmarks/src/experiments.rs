//! The experiments, in the order in which the page has them: one file each, and this table.

mod delegation;
mod fan_out;
mod get_task;
mod group_commit;
mod growth;
mod hop;
mod idle;
mod latency;
mod open_tasks;
mod real_agent;
mod replicas;
mod sdk_servers;
mod send;
mod stream;
mod sustained;

use std::pin::Pin;

use anyhow::Result;

use crate::contenders::{Contender, Kind, Setting};
use crate::load::{Request, Tally, closed_loop};
use crate::outcome::Outcome;
use crate::rounds::Figures;
use crate::stage::Stage;

/// Calls at a time where throughput is asked for.
const CONNECTIONS: usize = 32;

/// Columns that several experiments have.
const CPU: &str = "CPU µs";
const PER_SECOND: &str = "per second";
const P50: &str = "p50 µs";
const P99: &str = "p99 µs";
const SERVER_CORE: &str = "its core %";
const OTHER_CORE: &str = "other core %";

type Run = for<'a> fn(&'a Stage) -> Pin<Box<dyn Future<Output = Result<Outcome>> + 'a>>;

pub struct Experiment {
    pub name: &'static str,
    pub title: &'static str,
    /// What is asked, of whom, how.
    pub about: &'static str,
    pub run: Run,
    /// Takes minutes, and is not part of `short`.
    pub is_long: bool,
}

pub const ALL: &[Experiment] = &[
    Experiment {
        name: "hop",
        title: "CPU per hop",
        about: "A SendMessage of 554 bytes passes through a server to the minimal echo and back, 32 at a time. What it costs the server is its process's own \
                CPU time. The durable ones note the message and its answer, each fsync'd before anything is passed on.",
        run: |stage| Box::pin(hop::run(stage)),
        is_long: false,
    },
    Experiment {
        name: "send",
        title: "SendMessage, durable",
        about: "The same as throughput (closed loop, 32 at a time) and as a percentile: an open loop sends to all at the same rate, half of what the durable \
                broker did at most, and counts from when a request was due. `direct` is the echo beside the load generator, without anything between; \
                `minimal echo` is the same on the server's core: what the load generator can do at least.",
        run: |stage| Box::pin(send::run(stage)),
        is_long: false,
    },
    Experiment {
        name: "real-agent",
        title: "SendMessage before a real agent",
        about: "The agent is an echo on the official Rust SDK instead of the minimal one, and shares its core with the load generator, called directly and \
                through the broker.",
        run: |stage| Box::pin(real_agent::run(stage)),
        is_long: false,
    },
    Experiment {
        name: "sdk-servers",
        title: "CPU per send, beside the SDKs' own servers",
        about: "What a durable send through the broker costs it, beside what an official SDK's server needs to answer the same message itself, in memory.",
        run: |stage| Box::pin(sdk_servers::run(stage)),
        is_long: false,
    },
    Experiment {
        name: "latency",
        title: "Added latency, one call at a time",
        about: "Nobody else is calling and nothing waits for the disk: what a server between adds to the median of one call after another.",
        run: |stage| Box::pin(latency::run(stage)),
        is_long: false,
    },
    Experiment {
        name: "get-task",
        title: "GetTask",
        about: "One finished task is asked for, 32 at a time, of the broker that has it, and of servers that have the same task in memory.",
        run: |stage| Box::pin(get_task::run(stage)),
        is_long: false,
    },
    Experiment {
        name: "stream",
        title: "First event of a stream",
        about: "Streams one after another, over each binding: from the request to the whole first event. The agent says three things with a pause to let each \
                leave: that it works, what it made, that it is done. Between broker and agent it is always JSON-RPC; `direct` and the hop speak the caller's binding.",
        run: |stage| Box::pin(stream::run(stage)),
        is_long: false,
    },
    Experiment {
        name: "fan-out",
        title: "One task, a thousand listeners",
        about: "An agent says something every 20 ms, and everybody who has subscribed to its task hears it. What one event costs for each of them, beside a bare \
                server that makes each event once and gives it to all.",
        run: |stage| Box::pin(fan_out::run(stage)),
        is_long: false,
    },
    Experiment {
        name: "group-commit",
        title: "Group commit",
        about: "64 writers, each of which appends its next record of 1 kB when the last is durable: to a bare log, and to the broker's store by itself, on the disk as it is and on one whose every fsync takes 1 ms and 4 ms longer.",
        run: |stage| Box::pin(group_commit::run(stage)),
        is_long: false,
    },
    Experiment {
        name: "delegation",
        title: "A delegation beside a root task",
        about: "The same message to the same agent, 32 at a time: from somebody outside, and from an agent at work, with the grant of its task, as a child of it.",
        run: |stage| Box::pin(delegation::run(stage)),
        is_long: false,
    },
    Experiment {
        name: "replicas",
        title: "Several brokers, one PostgreSQL",
        about: "Durable sends, 32 at a time shared out evenly, to one, two and three brokers over one PostgreSQL that waits for the disk, all on this machine: what one more broker brings where the machine stays the same, and what a send \
                costs the database: transactions that write, bytes of its log, CPU time, bytes in its tables.",
        run: |stage| Box::pin(replicas::run(stage)),
        is_long: false,
    },
    Experiment {
        name: "growth",
        title: "From ten thousand tasks to a million",
        about: "The store is filled step by step; at each size, what a durable send costs, 32 at a time, and how long the first page of ListTasks takes.",
        run: |stage| Box::pin(growth::run(stage)),
        is_long: true,
    },
    Experiment {
        name: "open-tasks",
        title: "A million tasks at work",
        about: "Tasks of 554 bytes at an agent that neither streams nor ends. What each holds in memory, and how long the broker takes from its start to its being ready with all of them, beside a scan of a bare log with a record \
                of 1 kB for each.",
        run: |stage| Box::pin(open_tasks::run(stage)),
        is_long: true,
    },
    Experiment {
        name: "sustained",
        title: "Ten minutes of the same",
        about: "Half of the most that the durable broker can do, for ten minutes: memory and latency, minute by minute.",
        run: |stage| Box::pin(sustained::run(stage)),
        is_long: true,
    },
    Experiment {
        name: "idle",
        title: "Idle",
        about: "A broker with an empty store, a second after it is ready; how long that takes from its start, and how large its binary is.",
        run: |stage| Box::pin(idle::run(stage)),
        is_long: false,
    },
];

/// A minimal echo beside the load generator.
fn echo(stage: &Stage, setting: Setting) -> Result<Contender> {
    stage.agent(Kind::Echo, setting)?.ok_or_else(|| anyhow::anyhow!("the echo is part of this program"))
}

/// Calls as many at a time as throughput asks for.
async fn saturate(
    stage: &Stage,
    contender: &Contender,
    agent: &Contender,
    request: &Request,
) -> Result<Tally> {
    stage.measure(contender, agent, async |window| closed_loop(request, CONNECTIONS, window).await).await
}

/// What calls cost whoever answers them, how many there were, and how busy the cores.
fn cost(tally: &Tally) -> Figures {
    vec![
        (CPU, tally.cpu_micros()),
        (PER_SECOND, tally.per_second()),
        (SERVER_CORE, tally.server_share()),
        (OTHER_CORE, tally.others_share()),
    ]
}

/// Everybody.
fn refs(contenders: &[Contender]) -> Vec<&Contender> {
    contenders.iter().collect()
}
