//! How much of what a bare log does with the same fsyncs is left when a store with indexes does it, also on slow disks.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::contenders::this_program;
use crate::outcome::{Goal, Outcome, Picture};
use crate::rounds::{Floor, Rounds, rounds};
use crate::{os, stage::Stage};

const WRITERS: &str = "64";
/// What is added to each fsync, in microseconds.
const DELAYS: [u32; 3] = [0, 1000, 4000];
const RECORDS: &str = "records/s";
/// The store alone, without the broker around it: an example of the broker's package.
const EXAMPLE: &str = "examples/group_commit";
const SOURCE: &str = "preload/slow_fsync.c";

pub async fn run(stage: &Stage) -> Result<Outcome> {
    let store = stage.options.broker.with_file_name(EXAMPLE);
    if !store.is_file() {
        stage.skip(format!(
            "{} is not there: cargo build --release --package broker --example group_commit",
            store.display()
        ));
        return stage.outcome("group-commit", Rounds::default());
    }
    let library = slow_disk(&stage.room("slow-disk")?)?;
    let all: Vec<(bool, u32)> =
        DELAYS.into_iter().flat_map(|delay| [(false, delay), (true, delay)]).collect();
    let names: Vec<String> = all.iter().map(|&(is_store, delay)| row(is_store, delay)).collect();
    let floor = row(false, 0);
    let measured =
        rounds(stage.options.plan, &names, Some(Floor { name: &floor, figure: RECORDS }), async |at| {
            let (is_store, delay) = all[at];
            let mut command = if is_store { Command::new(&store) } else { this_program()? };
            command.args((!is_store).then_some("log")).arg(stage.room("log")?).arg(WRITERS);
            command.arg(stage.options.plan.window.as_secs_f64().to_string());
            command.env("LD_PRELOAD", &library).env("SLOW_FSYNC_US", delay.to_string());
            Ok(vec![(RECORDS, number_said(stage, command)?)])
        });
    let mut outcome = stage.outcome("group-commit", measured.await?)?;
    for delay in DELAYS {
        outcome = outcome.judge(RECORDS, &row(true, delay), &row(false, delay), Some(Goal::AtLeast(0.6)));
    }
    Ok(outcome
        .note("The store's records come with their place in the indexes (head, row, order), in the same atomic append; the log's with nothing.")
        .picture(Picture::Bars { column: RECORDS.to_owned(), logarithmic: true }))
}

fn row(is_store: bool, delay: u32) -> String {
    let who = if is_store { "broker's store" } else { "bare log" };
    if delay == 0 { who.to_owned() } else { format!("{who}, fsync + {} ms", delay / 1000) }
}

/// Compiles the library that makes a disk slow, with the compiler that Rust links with.
fn slow_disk(room: &Path) -> Result<PathBuf> {
    let library = room.join("slow_fsync.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(SOURCE);
    let mut command = Command::new("cc");
    command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
    ensure!(command.status().context("cc")?.success(), "{SOURCE} does not compile");
    Ok(library)
}

fn number_said(stage: &Stage, mut command: Command) -> Result<f64> {
    os::pin(&mut command, stage.server_core());
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim()
        .parse()
        .with_context(|| format!("{command:?} said {text}{}", String::from_utf8_lossy(&output.stderr)))
}
