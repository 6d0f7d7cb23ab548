//! Measures the broker against floors that are measured in the same minute, and writes down what it found: raw figures as
//! JSON, a page and pictures made from them.

mod contenders;
mod experiments;
mod floors;
mod grpc;
mod histogram;
mod load;
mod machine;
mod os;
mod outcome;
mod page;
mod plot;
mod process;
mod rounds;
mod stage;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};

use experiments::{ALL, Experiment};
use outcome::Outcome;
use page::Section;
use rounds::Plan;
use stage::{Options, Stage};

/// As the page has it.
const FULL: Plan = Plan { rounds: 5, warm_up: Duration::from_millis(300), window: Duration::from_secs(2) };
/// Whether it works at all.
const QUICK: Plan =
    Plan { rounds: 2, warm_up: Duration::from_millis(100), window: Duration::from_millis(300) };

#[derive(Parser)]
#[command(
    about = "Ratios of the broker to floors measured in the same minute.",
    args_conflicts_with_subcommands = true
)]
struct Arguments {
    /// Experiments by name; `short` for those that take a minute or two each, `all`, or `report` to only write the page anew.
    #[arg(required = true)]
    names: Vec<String>,
    /// The broker's binary.
    #[arg(long, value_name = "PATH")]
    broker: Option<PathBuf>,
    /// See that everything works, within two minutes: figures are not to be believed, and go to the target folder.
    #[arg(long)]
    quick: bool,
    /// How many rounds.
    #[arg(long)]
    rounds: Option<usize>,
    /// How long each contender is measured in each round, in seconds.
    #[arg(long)]
    seconds: Option<f64>,
    /// Where results and page go; otherwise `benchmarks/results` and `docs`.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    #[command(subcommand)]
    inner: Option<Inner>,
}

#[derive(Subcommand)]
enum Inner {
    /// Be one of the floors; the harness starts these itself.
    #[command(subcommand, hide = true)]
    Floor(floors::Floor),
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(Inner::Floor(floor)) = arguments.inner {
        return floor.run();
    }
    os::raise_open_files()?;
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let place = match arguments.out {
        Some(folder) => Place::within(&folder),
        None if arguments.quick => Place::within(&process::target_folder()?.join("quick")),
        None => Place { docs: repository.join("docs"), ..Place::within(&repository.join("benchmarks")) },
    };
    let usual = if arguments.quick { QUICK } else { FULL };
    let options = Options {
        broker: arguments.broker.unwrap_or_else(|| repository.join("target/release/bailiwick")),
        plan: Plan {
            rounds: arguments.rounds.unwrap_or(usual.rounds),
            window: arguments.seconds.map_or(usual.window, Duration::from_secs_f64),
            ..usual
        },
        is_quick: arguments.quick,
    };
    let failed: Vec<&str> = chosen(&arguments.names)?
        .into_iter()
        .filter(|experiment| make(experiment, &options, &place).is_err())
        .map(|experiment| experiment.name)
        .collect();
    place.report()?;
    eprintln!("written: {}", place.docs.join("benchmarks.md").display());
    ensure!(failed.is_empty(), "failed: {}; what the page says of these is from earlier", failed.join(", "));
    Ok(())
}

/// Makes one experiment and keeps what it found. Why it failed is said at once: the others go on.
fn make(experiment: &Experiment, options: &Options, place: &Place) -> Result<()> {
    let began = Instant::now();
    eprintln!("{}:", experiment.name);
    let made = || -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stage = Stage::new(options.clone())?;
        runtime.block_on((experiment.run)(&stage))?.save(&place.results)?;
        place.report()
    };
    let made = made().inspect_err(|error| eprintln!("  failed: {error:#}"));
    eprintln!("  took {:.0} s", began.elapsed().as_secs_f64());
    made
}

/// The experiments that are named, in their own order.
fn chosen(names: &[String]) -> Result<Vec<&'static Experiment>> {
    let known =
        |name: &str| ["all", "short", "report"].contains(&name) || ALL.iter().any(|known| known.name == name);
    for name in names {
        let all: Vec<&str> = ALL.iter().map(|experiment| experiment.name).collect();
        ensure!(
            known(name),
            "there is no experiment {name}; there are all, short, report, {}",
            all.join(", ")
        );
    }
    let named = |name: &str| names.iter().any(|given| given == name);
    let is_chosen = |one: &&Experiment| named("all") || named(one.name) || (named("short") && !one.is_long);
    Ok(ALL.iter().filter(is_chosen).collect())
}

/// Where results are kept and the page is written.
struct Place {
    results: PathBuf,
    docs: PathBuf,
    /// What people found out who looked closer, by experiment; `profile.md` is about all of it.
    findings: PathBuf,
}

impl Place {
    fn within(folder: &Path) -> Self {
        let [results, docs, findings] = ["results", "docs", "findings"].map(|what| folder.join(what));
        Self { results, docs, findings }
    }

    /// Writes the page and the pictures from all results there are.
    fn report(&self) -> Result<()> {
        std::fs::create_dir_all(self.docs.join("img"))?;
        let mut found = Vec::new();
        for experiment in ALL {
            let Some(outcome) = Outcome::load(&self.results, experiment.name)? else { continue };
            if let Some(picture) = &outcome.picture {
                let svg = plot::plot(experiment.title, &outcome.rounds, picture);
                std::fs::write(self.docs.join(format!("img/benchmark-{}.svg", experiment.name)), svg)?;
            }
            let finding = self.finding(experiment.name);
            found.push(Section { experiment, outcome, finding });
        }
        std::fs::write(self.docs.join("benchmarks.md"), page::page(&found, &self.finding("profile")))?;
        Ok(())
    }

    /// What somebody wrote about an experiment, or nothing.
    fn finding(&self, name: &str) -> String {
        std::fs::read_to_string(self.findings.join(format!("{name}.md"))).unwrap_or_default()
    }
}
