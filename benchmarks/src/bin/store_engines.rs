//! Which engine the embedded store should stand on: each runs the journal's own pattern. One append is two records of 1 kB,
//! a head, and a row whose place in an ordered index moves; a group of appends is one fsync'd transaction.

use std::path::Path;
use std::time::{Duration, Instant};

const RECORD: [u8; 1024] = [b'x'; 1024];
const ROW: [u8; 200] = [b'r'; 200];
const RUN: Duration = Duration::from_secs(3);
const ROUNDS: usize = 3;

trait Engine {
    fn open(folder: &Path) -> Self;
    /// Makes a group of appends durable; `from` numbers the first tree of the group.
    fn commit(&mut self, from: u64, group: u64);
}

struct Fjall {
    db: fjall::Database,
    tables: Vec<fjall::Keyspace>,
}

impl Engine for Fjall {
    fn open(folder: &Path) -> Self {
        let db = fjall::Database::builder(folder).manual_journal_persist(true).open().unwrap();
        let tables = ["journal", "heads", "rows", "order"]
            .map(|name| db.keyspace(name, fjall::KeyspaceCreateOptions::default).unwrap());
        Self { db, tables: tables.into() }
    }

    fn commit(&mut self, from: u64, group: u64) {
        let mut batch = self.db.batch().durability(Some(fjall::PersistMode::SyncData));
        for tree in from..from + group {
            for record in 0..2_u64 {
                batch.insert(&self.tables[0], key(tree, record), RECORD);
            }
            batch.insert(&self.tables[1], tree.to_be_bytes(), [0; 8]);
            batch.remove(&self.tables[3], key(u64::MAX - tree, 0));
            batch.insert(&self.tables[3], key(u64::MAX - tree, 1), ROW);
            batch.insert(&self.tables[2], tree.to_be_bytes(), ROW);
        }
        batch.commit().unwrap();
    }
}

struct Redb(redb::Database);

const JOURNAL: redb::TableDefinition<&[u8], &[u8]> = redb::TableDefinition::new("journal");
const HEADS: redb::TableDefinition<u64, u64> = redb::TableDefinition::new("heads");
const ROWS: redb::TableDefinition<u64, &[u8]> = redb::TableDefinition::new("rows");
const ORDER: redb::TableDefinition<&[u8], &[u8]> = redb::TableDefinition::new("order");

impl Engine for Redb {
    fn open(folder: &Path) -> Self {
        Self(redb::Database::create(folder.join("redb")).unwrap())
    }

    fn commit(&mut self, from: u64, group: u64) {
        let transaction = self.0.begin_write().unwrap();
        {
            let mut journal = transaction.open_table(JOURNAL).unwrap();
            let mut heads = transaction.open_table(HEADS).unwrap();
            let mut rows = transaction.open_table(ROWS).unwrap();
            let mut order = transaction.open_table(ORDER).unwrap();
            for tree in from..from + group {
                for record in 0..2_u64 {
                    journal.insert(key(tree, record).as_slice(), RECORD.as_slice()).unwrap();
                }
                heads.insert(tree, 2).unwrap();
                order.remove(key(u64::MAX - tree, 0).as_slice()).unwrap();
                order.insert(key(u64::MAX - tree, 1).as_slice(), ROW.as_slice()).unwrap();
                rows.insert(tree, ROW.as_slice()).unwrap();
            }
        }
        transaction.commit().unwrap();
    }
}

struct Sqlite(rusqlite::Connection);

impl Engine for Sqlite {
    fn open(folder: &Path) -> Self {
        let connection = rusqlite::Connection::open(folder.join("sqlite")).unwrap();
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                 CREATE TABLE journal (root INTEGER, number INTEGER, record BLOB, PRIMARY KEY (root, number)) WITHOUT ROWID;
                 CREATE TABLE heads (root INTEGER PRIMARY KEY, head INTEGER);
                 CREATE TABLE rows (task INTEGER PRIMARY KEY, updated INTEGER, row BLOB);
                 CREATE INDEX by_updated ON rows (updated DESC, task DESC);",
            )
            .unwrap();
        Self(connection)
    }

    fn commit(&mut self, from: u64, group: u64) {
        let transaction = self.0.transaction().unwrap();
        {
            let mut journal = transaction.prepare_cached("INSERT INTO journal VALUES (?, ?, ?)").unwrap();
            let mut heads = transaction.prepare_cached("INSERT OR REPLACE INTO heads VALUES (?, 2)").unwrap();
            let mut rows =
                transaction.prepare_cached("INSERT OR REPLACE INTO rows VALUES (?, ?, ?)").unwrap();
            for tree in from as i64..(from + group) as i64 {
                for record in 0..2 {
                    journal.execute(rusqlite::params![tree, record, RECORD.as_slice()]).unwrap();
                }
                heads.execute([tree]).unwrap();
                rows.execute(rusqlite::params![tree, tree, ROW.as_slice()]).unwrap();
            }
        }
        transaction.commit().unwrap();
    }
}

fn key(high: u64, low: u64) -> [u8; 24] {
    let mut key = [0; 24];
    key[8..16].copy_from_slice(&high.to_be_bytes());
    key[16..].copy_from_slice(&low.to_be_bytes());
    key
}

/// User and system time of this process, microseconds.
fn cpu_micros() -> u64 {
    // SAFETY: getrusage fills the struct it is given.
    let usage = unsafe {
        let mut usage = std::mem::zeroed::<libc::rusage>();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let micros = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
    micros(usage.ru_utime) + micros(usage.ru_stime)
}

struct Figures {
    per_second: f64,
    cpu_micros: f64,
    p50_micros: u128,
    p99_micros: u128,
}

fn run<E: Engine>(group: u64) -> Figures {
    let folder = tempfile::TempDir::new_in(".").unwrap();
    let mut engine = E::open(folder.path());
    let (mut tree, mut times) = (0, Vec::new());
    let (began, cpu) = (Instant::now(), cpu_micros());
    while began.elapsed() < RUN {
        let commit = Instant::now();
        engine.commit(tree, group);
        times.push(commit.elapsed().as_micros());
        tree += group;
    }
    let (elapsed, cpu) = (began.elapsed(), cpu_micros() - cpu);
    times.sort_unstable();
    Figures {
        per_second: tree as f64 / elapsed.as_secs_f64(),
        cpu_micros: cpu as f64 / tree as f64,
        p50_micros: times[times.len() / 2],
        p99_micros: times[times.len() * 99 / 100],
    }
}

fn report<E: Engine>(name: &str, group: u64) {
    let mut rounds: Vec<Figures> = (0..ROUNDS).map(|_| run::<E>(group)).collect();
    rounds.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    let Figures { per_second, cpu_micros, p50_micros, p99_micros } = &rounds[ROUNDS / 2];
    println!("| {name} | {group} | {per_second:.0} | {cpu_micros:.1} | {p50_micros} | {p99_micros} |");
}

fn main() {
    println!(
        "| engine | appends a commit | appends/s | CPU µs an append | commit p50 µs | p99 µs |\n|---|---|---|---|---|---|"
    );
    for group in [1, 64] {
        report::<Fjall>("fjall 3", group);
        report::<Redb>("redb 2", group);
        report::<Sqlite>("SQLite WAL, FULL", group);
    }
}
