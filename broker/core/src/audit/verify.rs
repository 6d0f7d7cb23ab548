//! Judging a log, line by line, with nothing but its bytes: is it whole, in order and unchanged, and does each decision
//! follow from what it was made from?
//!
//! A log cannot prove that nothing was cut off its end, nor that it was not written anew from the start: whoever can
//! write all of it can do that. A head kept elsewhere can (see [`Verifier::knowing`]).

use serde::Deserialize;
use serde_json::value::RawValue;

use super::chain::{ENTRY_VERSION, Hash, Head, hash_of, split};
use super::event::{Delegation, Event};

/// Begins the line that ends an export.
const HEAD_START: &[u8] = b"{\"head\":";

/// What is wrong with a log, and where first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {entry} (line {line}): {problem}")]
pub struct Fault {
    /// Number of the entry that should stand there.
    pub entry: u64,
    /// Line of the file, from 1.
    pub line: u64,
    /// What is wrong.
    pub problem: Problem,
}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No line end: the file was cut short.
    #[error("the line does not end with a newline; the file was cut short")]
    CutShort,
    /// Not an entry at all.
    #[error("expected an entry that ends with its hash")]
    NotAnEntry,
    /// The bytes are not those that were hashed.
    #[error("its bytes hash to {found}, not to the {named} it names: it was changed")]
    Changed {
        /// What the bytes hash to.
        found: Hash,
        /// What the entry says.
        named: Hash,
    },
    /// Its members are not those of an entry.
    #[error("its hash fits but it cannot be read: {0}")]
    Unreadable(String),
    /// Written by a later version.
    #[error(
        "entry version {0} is newer than {ENTRY_VERSION}, the newest this build reads; verify with a newer bailiwick"
    )]
    Newer(u16),
    /// Not the next number.
    #[error("found entry {0} in its place: something was taken out, put in or moved")]
    OutOfOrder(u64),
    /// Another predecessor.
    #[error("it follows an entry with hash {named}, but the one before it has {found}: the chain is broken")]
    Detached {
        /// The hash of the entry before it.
        found: Hash,
        /// The hash it names.
        named: Hash,
    },
    /// The facts do not give the verdict.
    #[error("its decision cannot be repeated: the recorded facts give {again}, recorded is {recorded}")]
    OtherVerdict {
        /// What deciding again gives, as JSON.
        again: String,
        /// What is recorded, as JSON.
        recorded: String,
    },
    /// The line that ends an export is missing.
    #[error("the export ends here without its head line; it was cut short")]
    NoHead,
    /// The line that ends an export does not fit what stands before it.
    #[error("the head line does not name the last entry, {0}")]
    OtherHead(Head),
    /// Something after the end.
    #[error("something stands after the head line")]
    AfterHead,
    /// It has another hash, or does not reach so far.
    #[error("the known head {0} is not in the log: it was cut off or written anew")]
    KnownHeadMissing(Head),
}

/// What a log that is in order holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Entries.
    pub entries: u64,
    /// Decisions made again to the same verdict, allowed.
    pub allowed: u64,
    /// Decisions made again to the same verdict, denied.
    pub denied: u64,
    /// Entries that hold something this build does not know.
    pub unread: u64,
    /// Where the log ends.
    pub head: Head,
}

/// A log being judged.
#[derive(Debug)]
pub struct Verifier {
    report: Report,
    known: Option<Head>,
    line: u64,
    ended: bool,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    v: u16,
    n: u64,
    prev: Hash,
    #[serde(borrow)]
    event: &'a RawValue,
}

impl Verifier {
    /// Judges a log that begins after an entry; the default [`Head`] is the beginning.
    pub fn after(head: Head) -> Self {
        let report = Report { head, ..Report::default() };
        Self { report, known: None, line: 0, ended: false }
    }

    /// Insists that a head that was noted earlier is in the log.
    #[must_use]
    pub fn knowing(mut self, head: Head) -> Self {
        self.known = Some(head);
        self
    }

    /// Judges the next line, its line end included.
    pub fn line(&mut self, line: &[u8]) -> Result<(), Fault> {
        self.line += 1;
        self.judge(line).map_err(|problem| self.fault(problem))
    }

    /// Judges the end.
    pub fn finish(self) -> Result<Report, Fault> {
        if !self.ended {
            return Err(self.fault(Problem::NoHead));
        }
        match self.known {
            Some(missing) => Err(self.fault(Problem::KnownHeadMissing(missing))),
            None => Ok(self.report),
        }
    }

    fn fault(&self, problem: Problem) -> Fault {
        Fault { entry: self.report.head.n + 1, line: self.line, problem }
    }

    fn judge(&mut self, line: &[u8]) -> Result<(), Problem> {
        if self.ended {
            return Err(Problem::AfterHead);
        }
        let line = line.strip_suffix(b"\n").ok_or(Problem::CutShort)?;
        self.meet_known()?;
        if line.starts_with(HEAD_START) {
            self.ended = true;
            let fits = Head::read_line(line) == Some(self.report.head);
            return if fits { Ok(()) } else { Err(Problem::OtherHead(self.report.head)) };
        }
        let (body, named) = split(line).ok_or(Problem::NotAnEntry)?;
        let found = hash_of(body);
        if found != named {
            return Err(Problem::Changed { found, named });
        }
        let unreadable = |error: serde_json::Error| Problem::Unreadable(error.to_string());
        let entry: Envelope<'_> = serde_json::from_slice(line).map_err(unreadable)?;
        self.check_place(&entry)?;
        self.replay(entry.event)?;
        self.report.entries += 1;
        self.report.head = Head { n: entry.n, hash: named };
        self.meet_known()
    }

    fn check_place(&self, entry: &Envelope<'_>) -> Result<(), Problem> {
        if entry.v > ENTRY_VERSION {
            return Err(Problem::Newer(entry.v));
        }
        if entry.n != self.report.head.n + 1 {
            return Err(Problem::OutOfOrder(entry.n));
        }
        let (found, named) = (self.report.head.hash, entry.prev);
        if named == found { Ok(()) } else { Err(Problem::Detached { found, named }) }
    }

    /// Ticks off the known head when it is reached.
    fn meet_known(&mut self) -> Result<(), Problem> {
        match self.known.take_if(|known| known.n == self.report.head.n) {
            Some(other) if other != self.report.head => Err(Problem::KnownHeadMissing(other)),
            _ => Ok(()),
        }
    }

    fn replay(&mut self, event: &RawValue) -> Result<(), Problem> {
        let Ok(event) = serde_json::from_str::<Event>(event.get()) else {
            self.report.unread += 1;
            return Ok(());
        };
        let Event::Delegation(delegation) = event else { return Ok(()) };
        let Delegation { agent, skill, judged: Some(judged), .. } = *delegation else { return Ok(()) };
        let again = judged.again(&agent, skill.as_deref());
        if again != judged.verdict {
            let json = |verdict| serde_json::to_string(verdict).unwrap_or_default();
            return Err(Problem::OtherVerdict { again: json(&again), recorded: json(&judged.verdict) });
        }
        if judged.is_allowed() {
            self.report.allowed += 1;
        } else {
            self.report.denied += 1;
        }
        Ok(())
    }
}
