//! What a batch is read by and written with: prepared once a connection, sent in one go, answered in one go.

use std::collections::BTreeMap;

use broker_core::audit::{Hash, Head};
use broker_core::{TaskId, Timestamp};
use bytes::Bytes;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row, Statement};
use uuid::Uuid;

use super::batch::{Known, TreeHead, Wanted, Writes};
use super::failure::{damaged, unavailable};
use super::{notices, rows};
use crate::ports::store::{OutboxKey, StoreError};

macro_rules! statements {
    ($($name:ident: $sql:expr,)*) => {
        /// Statements of a connection.
        pub(super) struct Statements { $($name: Statement,)* }

        impl Statements {
            pub(super) async fn prepare(client: &Client) -> Result<Self, Error> {
                Ok(Self { $($name: client.prepare($sql).await?,)* })
            }
        }
    };
}

/// A broker that is stopped between reading and writing holds up the others no longer than that.
pub(super) const NO_LONGER: &str = "SET LOCAL idle_in_transaction_session_timeout = '5s'";

statements! {
    // Held until the batch is written, so that nobody finds this broker gone meanwhile.
    own: "SELECT gone FROM brokers WHERE id = $1 FOR KEY SHARE",
    // Locked in the order of their ids, as everybody does.
    heads: "SELECT root, records, over, driver FROM trees WHERE root = ANY($1) ORDER BY root FOR UPDATE",
    claims: "SELECT principal, message_id, digest, task, root FROM claims JOIN unnest($1::text[], $2::text[]) \
             AS wanted (principal, message_id) USING (principal, message_id)",
    kinds: "SELECT task, owner, agent, state FROM tasks WHERE root = ANY($1) AND task = ANY($2)",
    pushes: "SELECT root, task, config, set, next, trouble FROM outbox JOIN unnest($1::uuid[], $2::text[]) \
             AS wanted (task, config) USING (task, config)",
    agents: "SELECT name FROM agents WHERE name = ANY($1)",
    // One that is not there yet has no row to lock: its name is, and read afterwards.
    lock_documents: "SELECT pg_advisory_xact_lock(hashtext(name)) FROM \
                     (SELECT name FROM unnest($1::text[]) AS name ORDER BY name) AS wanted",
    documents: "SELECT name, document FROM documents WHERE name = ANY($1)",
    // Whoever has something to say in the log waits here for whoever is about to.
    log: "SELECT number, hash FROM audit_head FOR UPDATE",
    begin_trees: "INSERT INTO trees (root, records, over, driver) \
                  SELECT *, $4::uuid FROM unnest($1::uuid[], $2::bigint[], $3::bigint[])",
    move_trees: "UPDATE trees SET records = new.records, over = new.over \
                 FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS new (root, records, over) \
                 WHERE trees.root = new.root AND trees.driver = $4",
    put_records: "INSERT INTO journal (root, number, record) \
                  SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bytea[])",
    put_claims: "INSERT INTO claims (principal, message_id, digest, task, root) \
                 SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::uuid[], $5::uuid[])",
    put_rows: "INSERT INTO tasks (root, task, owner, agent, context_id, state, updated) \
               SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[]) \
               ON CONFLICT (root, task) DO UPDATE SET owner = excluded.owner, agent = excluded.agent, \
               context_id = excluded.context_id, state = excluded.state, updated = excluded.updated",
    add_totals: rows::ADD_TOTALS,
    put_pushes: "INSERT INTO outbox (root, task, config, set, next) \
                 SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[]) \
                 ON CONFLICT (root, task, config) DO UPDATE \
                 SET set = excluded.set, next = excluded.next, trouble = NULL",
    end_pushes: "DELETE FROM outbox USING unnest($1::uuid[], $2::text[]) AS gone (task, config) \
                 WHERE outbox.task = gone.task AND outbox.config = gone.config",
    put_agents: "INSERT INTO agents (name, document) SELECT * FROM unnest($1::text[], $2::bytea[]) \
                 ON CONFLICT (name) DO UPDATE SET document = excluded.document",
    remove_agents: "DELETE FROM agents WHERE name = ANY($1)",
    put_documents: "INSERT INTO documents (name, document) SELECT * FROM unnest($1::text[], $2::bytea[]) \
                    ON CONFLICT (name) DO UPDATE SET document = excluded.document",
    put_lines: "INSERT INTO audit (number, line) SELECT * FROM unnest($1::bigint[], $2::bytea[])",
    tell: "SELECT pg_notify($1, said) FROM unnest($2::text[]) AS said",
    end_log: "UPDATE audit_head SET number = $1, hash = $2",
}

/// Whose batches they are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writer {
    /// The broker's, this time it was started.
    pub(super) driver: Uuid,
    /// Which row of each total is its own.
    pub(super) slot: i32,
}

type Param<'p> = &'p (dyn ToSql + Sync);

impl Statements {
    /// Begins a transaction, and reads what a batch is judged by.
    pub(super) async fn read(
        &self,
        client: &Client,
        wanted: &Wanted<'_>,
        driver: Uuid,
    ) -> Result<Known, StoreError> {
        let roots = ids(&wanted.roots);
        let claims = (
            column(&wanted.claims, |claim| claim.principal.as_str()),
            column(&wanted.claims, |claim| claim.message_id.as_str()),
        );
        let tasks = ids(&wanted.tasks);
        let pushes =
            (column(&wanted.outbox, |key| key.task.0), column(&wanted.outbox, |key| key.config.as_str()));
        let opening = format!("BEGIN; {NO_LONGER}");
        let (begun, own, heads, claims, kinds, outbox, agents, locked, documents, log) = tokio::join!(
            biased;
            client.batch_execute(&opening),
            query_if(client, !roots.is_empty(), &self.own, [&driver]),
            query_if(client, !roots.is_empty(), &self.heads, [&roots]),
            query_if(client, !wanted.claims.is_empty(), &self.claims, [&claims.0, &claims.1]),
            query_if(client, !tasks.is_empty(), &self.kinds, [&roots, &tasks]),
            query_if(client, !wanted.outbox.is_empty(), &self.pushes, [&pushes.0, &pushes.1]),
            query_if(client, !wanted.agents.is_empty(), &self.agents, [&wanted.agents]),
            query_if(client, !wanted.documents.is_empty(), &self.lock_documents, [&wanted.documents]),
            query_if(client, !wanted.documents.is_empty(), &self.documents, [&wanted.documents]),
            query_if(client, wanted.log, &self.log, []),
        );
        begun.map_err(|error| unavailable(&error))?;
        let rows = |rows: Result<Vec<Row>, Error>| rows.map_err(|error| unavailable(&error));
        let is_gone = rows(own)?.first().is_none_or(|row| row.get(0)) && !roots.is_empty();
        let mut known = Known { is_gone, ..Known::default() };
        for row in rows(heads)? {
            let (records, over) = (rows::unsigned(&row, 1), row.get::<_, Option<i64>>(2));
            let (root, head) =
                (TaskId(row.get(0)), TreeHead { records, over: over.map(Timestamp::from_millis) });
            known.heads.insert(root, head);
            if row.get::<_, Uuid>(3) != driver {
                known.foreign.insert(root);
            }
        }
        for row in rows(claims)? {
            let claim = rows::claim(&row)?;
            known.claims.insert((claim.principal.clone(), claim.message_id.clone()), claim);
        }
        for row in rows(kinds)? {
            known.kinds.insert(TaskId(row.get(0)), (row.get(1), row.get(2), rows::state(&row, 3)?));
        }
        for row in rows(outbox)? {
            let push = rows::push(&row)?;
            known.outbox.insert(push.key.clone(), push);
        }
        known.agents = rows(agents)?.iter().map(|row| row.get(0)).collect();
        rows(locked)?;
        for row in rows(documents)? {
            known.documents.insert(row.get(0), Bytes::copy_from_slice(row.get(1)));
        }
        if let Some(row) = rows(log)?.first() {
            known.log = head(row)?;
        }
        Ok(known)
    }

    /// Writes a batch and ends the transaction. Where a statement is refused, all of it is.
    pub(super) async fn write(
        &self,
        client: &Client,
        writes: &Writes,
        log: Head,
        by: Writer,
    ) -> Result<(), Error> {
        let (begun, moved) = (Heads::of(&writes.begun), Heads::of(&writes.moved));
        let results = tokio::join!(
            biased;
            begun.write(client, &self.begin_trees, by.driver),
            moved.write(client, &self.move_trees, by.driver),
            self.write_records(client, writes),
            self.write_claims(client, writes),
            self.write_rows(client, writes),
            rows::add_totals(client, &self.add_totals, &writes.totals, by.slot),
            self.write_pushes(client, writes),
            self.write_names(client, writes, by.driver),
            self.write_lines(client, writes, log),
            client.batch_execute("COMMIT"),
        );
        let (begun, moved, records, claims, rows, totals, pushes, names, lines, committed) = results;
        begun.and(moved).and(records).and(claims).and(rows).and(totals).and(pushes).and(names)?;
        lines.and(committed)
    }

    async fn write_records(&self, client: &Client, writes: &Writes) -> Result<(), Error> {
        let records = &writes.records;
        let roots = column(records, |(root, _, _)| root.0);
        let numbers = column(records, |(_, number, _)| signed(*number));
        let bytes = column(records, |(_, _, record)| record.as_ref());
        execute_if(client, !records.is_empty(), &self.put_records, [&roots, &numbers, &bytes]).await
    }

    async fn write_claims(&self, client: &Client, writes: &Writes) -> Result<(), Error> {
        let claims = &writes.claims;
        let principals = column(claims, |claim| claim.principal.as_str());
        let messages = column(claims, |claim| claim.message_id.as_str());
        let digests = column(claims, |claim| claim.digest.as_slice());
        let tasks = column(claims, |claim| claim.task.0);
        let roots = column(claims, |claim| claim.root.0);
        let params = [&principals as Param<'_>, &messages, &digests, &tasks, &roots];
        execute_if(client, !claims.is_empty(), &self.put_claims, params).await
    }

    async fn write_rows(&self, client: &Client, writes: &Writes) -> Result<(), Error> {
        let rows: Vec<_> = writes.rows.values().collect();
        let roots = column(&rows, |row| row.root.0);
        let tasks = column(&rows, |row| row.task.0);
        let owners = column(&rows, |row| row.owner.as_str());
        let agents = column(&rows, |row| row.agent.as_str());
        let contexts = column(&rows, |row| row.context_id.as_str());
        let states = column(&rows, |row| row.state.as_str());
        let updated = column(&rows, |row| row.updated.as_millis());
        let params = [&roots as Param<'_>, &tasks, &owners, &agents, &contexts, &states, &updated];
        execute_if(client, !rows.is_empty(), &self.put_rows, params).await
    }

    async fn write_pushes(&self, client: &Client, writes: &Writes) -> Result<(), Error> {
        let put: Vec<_> = writes.outbox.values().flatten().collect();
        let roots = column(&put, |row| row.root.0);
        let tasks = column(&put, |row| row.key.task.0);
        let configs = column(&put, |row| row.key.config.as_str());
        let sets = column(&put, |row| signed(row.set));
        let nexts = column(&put, |row| signed(row.next));
        let gone: Vec<&OutboxKey> =
            writes.outbox.iter().filter(|(_, row)| row.is_none()).map(|(key, _)| key).collect();
        let gone_tasks = column(&gone, |key| key.task.0);
        let gone_configs = column(&gone, |key| key.config.as_str());
        let params = [&roots as Param<'_>, &tasks, &configs, &sets, &nexts];
        let (put, ended) = tokio::join!(
            biased;
            execute_if(client, !put.is_empty(), &self.put_pushes, params),
            execute_if(client, !gone.is_empty(), &self.end_pushes, [&gone_tasks, &gone_configs]),
        );
        put.and(ended)
    }

    /// Agents and documents.
    async fn write_names(&self, client: &Client, writes: &Writes, by: Uuid) -> Result<(), Error> {
        let present = writes.agents.iter().filter_map(|(name, document)| Some((name, document.as_ref()?)));
        let (names, documents): (Vec<&str>, Vec<&[u8]>) =
            present.map(|(name, document)| (name.as_str(), document.as_ref())).unzip();
        let gone: Vec<&str> =
            writes.agents.iter().filter(|(_, left)| left.is_none()).map(|(name, _)| name.as_str()).collect();
        let (own_names, own): (Vec<&str>, Vec<&[u8]>) =
            writes.documents.iter().map(|(name, document)| (name.as_str(), document.as_ref())).unzip();
        let said = writes.agents.keys().map(|name| notices::of_agent(by, name));
        let said: Vec<String> = said.chain((!own.is_empty()).then(|| notices::of_documents(by))).collect();
        let (put, removed, kept, told) = tokio::join!(
            biased;
            execute_if(client, !names.is_empty(), &self.put_agents, [&names, &documents]),
            execute_if(client, !gone.is_empty(), &self.remove_agents, [&gone]),
            execute_if(client, !own.is_empty(), &self.put_documents, [&own_names, &own]),
            execute_if(client, !said.is_empty(), &self.tell, [&notices::CHANNEL, &said]),
        );
        put.and(removed).and(kept).and(told)
    }

    async fn write_lines(&self, client: &Client, writes: &Writes, log: Head) -> Result<(), Error> {
        let (n, hash) = (signed(log.n), log.hash.0.as_slice());
        let numbers = column(&writes.lines, |(number, _)| signed(*number));
        let lines = column(&writes.lines, |(_, line)| line.as_bytes());
        let any = !writes.lines.is_empty();
        let (put, ended) = tokio::join!(
            biased;
            execute_if(client, any, &self.put_lines, [&numbers, &lines]),
            execute_if(client, any, &self.end_log, [&n, &hash]),
        );
        put.and(ended)
    }
}

/// Heads of trees, column by column.
struct Heads {
    roots: Vec<Uuid>,
    records: Vec<i64>,
    over: Vec<Option<i64>>,
}

impl Heads {
    fn of(heads: &BTreeMap<TaskId, TreeHead>) -> Self {
        Self {
            roots: heads.keys().map(|root| root.0).collect(),
            records: heads.values().map(|head| signed(head.records)).collect(),
            over: heads.values().map(|head| head.over.map(Timestamp::as_millis)).collect(),
        }
    }

    async fn write(&self, client: &Client, statement: &Statement, driver: Uuid) -> Result<(), Error> {
        let params = [&self.roots as Param<'_>, &self.records, &self.over, &driver];
        execute_if(client, !self.roots.is_empty(), statement, params).await
    }
}

/// Where the audit log ends.
pub(super) fn head(row: &Row) -> Result<Head, StoreError> {
    let hash = row.get::<_, &[u8]>(1).try_into().map_err(|_| damaged("a hash of 32 bytes"))?;
    Ok(Head { n: rows::unsigned(row, 0), hash: Hash(hash) })
}

async fn query_if<const N: usize>(
    client: &Client,
    any: bool,
    statement: &Statement,
    params: [Param<'_>; N],
) -> Result<Vec<Row>, Error> {
    if any { client.query(statement, &params).await } else { Ok(Vec::new()) }
}

/// Sent when this is first polled.
async fn execute_if<const N: usize>(
    client: &Client,
    any: bool,
    statement: &Statement,
    params: [Param<'_>; N],
) -> Result<(), Error> {
    if any { client.execute(statement, &params).await.map(drop) } else { Ok(()) }
}

fn ids(tasks: &[TaskId]) -> Vec<Uuid> {
    tasks.iter().map(|task| task.0).collect()
}

fn column<'r, R, C>(rows: &'r [R], of: impl Fn(&'r R) -> C) -> Vec<C> {
    rows.iter().map(of).collect()
}

/// Numbers of records are far below where the sign begins.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
