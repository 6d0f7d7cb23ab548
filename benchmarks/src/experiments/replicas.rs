//! What several brokers over one database do, and what a send costs the database.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use private_postgres::Server;

use super::{CONNECTIONS, CPU, P50, PER_SECOND, echo};
use crate::contenders::{AGENT, Contender, Setting};
use crate::load::{Request, Tally, closed_loop};
use crate::outcome::{Outcome, Picture};
use crate::rounds::{Rounds, rounds};
use crate::stage::Stage;

const MOST: usize = 3;
const COMMITS: &str = "transactions a send";
const LOG: &str = "WAL bytes a send";
const DATABASE_CPU: &str = "PostgreSQL CPU µs";
const STORED: &str = "table bytes a task";
/// Ticks in which the system counts the time of a process.
const TICKS_PER_SECOND: f64 = 100.0;
const MICROS_PER_SECOND: f64 = 1e6;

/// What the database has done so far.
struct Done {
    transactions: f64,
    log: f64,
    cpu_micros: f64,
}

pub async fn run(stage: &Stage) -> Result<Outcome> {
    let room = stage.room("postgres")?;
    let server = match Server::start_durable(&room) {
        Ok(server) => server,
        Err(missing) => {
            stage.skip(format!("brokers over PostgreSQL: {missing}"));
            return stage.outcome("replicas", Rounds::default());
        }
    };
    stage.version("PostgreSQL", asked(&server, "postgres", "SHOW server_version")?);
    let agent = echo(stage, Setting::default())?;
    let mut fleets = Vec::new();
    for size in 1..=MOST {
        let database = server.database().map_err(|problem| anyhow!(problem))?;
        let mut brokers = Vec::new();
        for _ in 0..size {
            let config = format!(
                "[store]\nurl = \"{database}\"\n[log]\nlevel = \"error\"\n\
                 [[agents]]\nname = \"{AGENT}\"\nurl = \"http://{}\"\n",
                agent.address()
            );
            let broker = Contender::broker(stage, &config, &stage.room("replica")?)?;
            broker.wait_for_agent(AGENT)?;
            brokers.push(broker);
        }
        fleets.push((database, brokers));
    }
    let names: Vec<String> = (1..=MOST).map(row).collect();
    let all = rounds(stage.options.plan, &names, None, async |at| {
        let (database, brokers) = &fleets[at];
        let before = done(&server, database)?;
        let tallies = load(stage, brokers, &agent).await?;
        let after = done(&server, database)?;
        // What was sent while warming up is among what the database has done.
        let sent = tallies.iter().map(|tally| tally.answered).sum::<u64>() as f64;
        let per_second = tallies.iter().map(Tally::per_second).sum::<f64>();
        let cpu = tallies.iter().map(|tally| tally.cpu_micros() * tally.per_second()).sum::<f64>();
        Ok(vec![
            (PER_SECOND, per_second),
            (
                P50,
                tallies.iter().map(|tally| tally.histogram.percentile(0.5)).sum::<f64>()
                    / tallies.len() as f64,
            ),
            (CPU, cpu / per_second),
            (DATABASE_CPU, (after.cpu_micros - before.cpu_micros) / sent),
            (COMMITS, (after.transactions - before.transactions) / sent),
            (LOG, (after.log - before.log) / sent),
            (STORED, number(&server, database, STORED_BYTES)?),
        ])
    });
    Ok(stage
        .outcome("replicas", all.await?)?
        .judge_by("two brokers / one, per second", None, |of| Some(of(&row(2), PER_SECOND)? / of(&row(1), PER_SECOND)?))
        .judge_by("three brokers / one, per second", None, |of| Some(of(&row(3), PER_SECOND)? / of(&row(1), PER_SECOND)?))
        .note("All brokers, the database, the agent and the load share two cores: what more machines would bring is not to be seen here.")
        .picture(Picture::Bars { column: PER_SECOND.to_owned(), logarithmic: false }))
}

fn row(brokers: usize) -> String {
    if brokers == 1 { "1 broker".to_owned() } else { format!("{brokers} brokers") }
}

/// Loads all brokers at the same time, each with its part of the connections.
async fn load(stage: &Stage, brokers: &[Contender], agent: &Contender) -> Result<Vec<Tally>> {
    let each = async |broker: &Contender| {
        let request = Request::send(broker.address(), &broker.path);
        let connections = CONNECTIONS / brokers.len();
        stage.measure(broker, agent, async |window| closed_loop(&request, connections, window).await).await
    };
    Ok(match brokers {
        [one] => vec![each(one).await?],
        [one, two] => {
            let (one, two) = tokio::try_join!(each(one), each(two))?;
            vec![one, two]
        }
        [one, two, three] => {
            let (one, two, three) = tokio::try_join!(each(one), each(two), each(three))?;
            vec![one, two, three]
        }
        _ => anyhow::bail!("one to {MOST} brokers"),
    })
}

const TRANSACTIONS: &str = "SELECT pg_current_xact_id()::text";
const LOGGED: &str = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn";
const STORED_BYTES: &str = "SELECT coalesce(sum(pg_total_relation_size(oid)), 0) / greatest((SELECT count(*) FROM trees), 1) \
                            FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";

fn done(server: &Server, database: &str) -> Result<Done> {
    Ok(Done {
        transactions: number(server, database, TRANSACTIONS)?,
        log: number(server, database, LOGGED)?,
        cpu_micros: cpu(server)?.as_secs_f64() * MICROS_PER_SECOND,
    })
}

fn number(server: &Server, database: &str, question: &str) -> Result<f64> {
    asked(server, database, question)?.parse().with_context(|| format!("{question}: expected a number"))
}

fn asked(server: &Server, database: &str, question: &str) -> Result<String> {
    let url = if database.contains("://") { database.to_owned() } else { server.url(database) };
    let answer = server.run(&url, question).map_err(|problem| anyhow!(problem))?;
    Ok(answer.trim().to_owned())
}

/// CPU time of all processes of the server.
fn cpu(server: &Server) -> Result<Duration> {
    let parent = server.process_id().map_err(|problem| anyhow!(problem))?;
    let mut ticks = 0.0;
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        // After the name, which may hold anything: state, parent, …; user and system time are the 12th and 13th.
        let Some((_, fields)) = stat.rsplit_once(") ") else { continue };
        let fields: Vec<&str> = fields.split(' ').collect();
        let is_its = fields.get(1) == Some(&parent.as_str()) || entry.file_name() == parent.as_str();
        if is_its {
            let time = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(0.0);
            ticks += time(11) + time(12);
        }
    }
    Ok(Duration::from_secs_f64(ticks / TICKS_PER_SECOND))
}
