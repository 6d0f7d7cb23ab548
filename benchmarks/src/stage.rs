//! Where an experiment takes place: cores, a folder on a real disk, time, who is missing. Everything an experiment starts
//! is started through here and ends with it.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::contenders::{Contender, Kind, Setting};
use crate::load::{Tally, Window};
use crate::outcome::Outcome;
use crate::rounds::{Figures, Floor, Plan, Rounds, rounds};
use crate::{machine, os, process};

/// The core of what is measured, and of everything else.
const SERVER_CORE: usize = 1;
const OTHER_CORE: usize = 0;

/// What the command line says.
#[derive(Clone)]
pub struct Options {
    pub broker: PathBuf,
    pub plan: Plan,
    /// Only see that all works: build and install nothing that is not there yet, and measure little.
    pub is_quick: bool,
}

pub struct Stage {
    pub options: Options,
    folder: TempDir,
    repository: PathBuf,
    is_pinned: bool,
    started: Cell<usize>,
    skipped: RefCell<Vec<String>>,
    versions: RefCell<Vec<(String, String)>>,
}

impl Stage {
    pub fn new(options: Options) -> Result<Self> {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
        // Not in /tmp, which may be memory: fsync is to cost what it costs.
        let folder = TempDir::with_prefix_in("benchmarks-", process::target_folder()?)?;
        let is_pinned = os::cores() > 1 && os::run_on(OTHER_CORE).is_ok();
        let stage = Self {
            options,
            folder,
            repository,
            is_pinned,
            started: Cell::default(),
            skipped: RefCell::default(),
            versions: RefCell::default(),
        };
        if !is_pinned {
            stage.skip(
                "pinning to cores: there is only one, so that load, agent and server disturb each other",
            );
        }
        Ok(stage)
    }

    pub fn server_core(&self) -> Option<usize> {
        self.is_pinned.then_some(SERVER_CORE)
    }

    pub fn other_core(&self) -> Option<usize> {
        self.is_pinned.then_some(OTHER_CORE)
    }

    /// A new folder for something that is started, on the disk that is measured.
    pub fn room(&self, name: &str) -> Result<PathBuf> {
        self.started.set(self.started.get() + 1);
        let room = self.folder.path().join(format!("{}-{name}", self.started.get()));
        std::fs::create_dir(&room)?;
        Ok(room)
    }

    /// Says that something is left out, now and on the page.
    pub fn skip(&self, what: impl Into<String>) {
        let what = what.into();
        if !self.skipped.borrow().contains(&what) {
            eprintln!("  skipped: {what}");
            self.skipped.borrow_mut().push(what);
        }
    }

    pub fn version(&self, what: &str, version: impl Into<String>) {
        let entry = (what.to_owned(), version.into());
        if !self.versions.borrow().contains(&entry) {
            self.versions.borrow_mut().push(entry);
        }
    }

    /// An agent for whatever is measured: on the core of the load generator.
    pub fn agent(&self, kind: Kind, setting: Setting) -> Result<Option<Contender>> {
        kind.start(self, self.other_core(), setting)
    }

    /// Those of the contenders that are there, each on the core of servers.
    pub fn lineup(&self, kinds: &[Kind], setting: Setting) -> Result<Vec<Contender>> {
        let mut all = Vec::new();
        for kind in kinds {
            all.extend(kind.start(self, self.server_core(), setting)?);
        }
        Ok(all)
    }

    /// Measures each contender once in each round.
    pub async fn rounds(
        &self,
        contenders: &[Contender],
        floor: Floor<'_>,
        mut measure: impl AsyncFnMut(&Contender) -> Result<Figures>,
    ) -> Result<Rounds> {
        let names: Vec<String> = contenders.iter().map(|contender| contender.name.clone()).collect();
        rounds(self.options.plan, &names, Some(floor), async |at| {
            let contender = &contenders[at];
            measure(contender)
                .await
                .with_context(|| format!("its log says:\n{}", contender.process.last_words()))
        })
        .await
    }

    /// Has calls made while the CPU time of a contender and its agent is taken, and counts them.
    pub async fn measure(
        &self,
        contender: &Contender,
        agent: &Contender,
        calls: impl AsyncFnOnce(Window<'_>) -> Result<Tally>,
    ) -> Result<Tally> {
        let (server, other) = (Rc::clone(&contender.process), Rc::clone(&agent.process));
        let (server, other) = (move || server.cpu_time(), move || other.cpu_time());
        let Plan { warm_up, window, .. } = self.options.plan;
        let tally = calls(Window { warm_up, time: window, server: &server, agent: &other }).await?;
        ensure!(tally.histogram.len() > 0, "nothing was answered within {window:?}");
        contender.answered.set(contender.answered.get() + tally.answered);
        Ok(tally)
    }

    /// What was found, with what it depends on.
    pub fn outcome(&self, experiment: &str, rounds: Rounds) -> Result<Outcome> {
        let Plan { rounds: wanted, warm_up, window } = self.options.plan;
        let mut versions = self.versions.borrow().clone();
        versions.push(("commit".to_owned(), machine::commit(&self.repository)));
        Ok(Outcome {
            experiment: experiment.to_owned(),
            measured: machine::now(),
            machine: machine::describe(self.folder.path()),
            versions,
            plan: format!("{wanted} rounds, each contender {window:?} after {warm_up:?} of warming up"),
            rounds,
            verdicts: Vec::new(),
            skipped: self.skipped.borrow().clone(),
            notes: Vec::new(),
            picture: None,
        })
    }
}
