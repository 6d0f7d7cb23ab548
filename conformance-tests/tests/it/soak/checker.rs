//! The checker: holds what callers and agents wrote down against what was promised, and says what does not fit. It knows
//! what may happen to work whose agent was killed, and asks even then that somebody was told.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::caller::ends;
use super::logs::{Hearing, Life, Logs, Story, at, life, stories, text};
use super::plan::pieces;

/// How long after an agent is back the broker may still take it for dead (`circuit_max_open`, backoff); seconds.
const SLACK: f64 = 3.0;

/// What is promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// What was told of exists, what was delivered arrives, and nothing fails without a reason.
    Lost,
    /// One message, one task; an agent hears it once; a piece arrives once.
    Doubled,
    /// All see the same events under the same numbers, in one order.
    Reordered,
    /// A stream that is taken up again goes on where it was.
    Hole,
    /// Everything ends, with callers and at agents.
    LeftOpen,
    /// Exactly one end, and nothing behind it.
    TwoEnds,
    /// While a child is open its parent is WORKING.
    ParentNotWorking,
    /// What is said to be complete is; who asks again hears the same.
    Lied,
}

/// Something that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub(crate) rule: Rule,
    pub(crate) tree: String,
    pub(crate) why: String,
}

/// What was seen, counted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures {
    pub(crate) trees: usize,
    /// Completed with every piece.
    pub(crate) whole: usize,
    /// Completed without what a killed agent had, its delegator told so.
    pub(crate) partial: usize,
    pub(crate) failed: usize,
    pub(crate) canceled: usize,
    /// Roots and delegations that ended because nobody can know what became of them.
    pub(crate) unknown: usize,
    pub(crate) broker_kills: usize,
    pub(crate) agent_kills: usize,
    /// Trees that were open when the broker was killed.
    pub(crate) recovered: usize,
    /// Streams beyond the first of each reader.
    pub(crate) streams: usize,
    pub(crate) resumed: usize,
    pub(crate) messages: usize,
    /// Messages an agent heard again that it had forgotten when it was killed.
    pub(crate) again: usize,
}

/// Judges all logs.
pub(crate) fn check(logs: &Logs) -> (Vec<Finding>, Figures) {
    let mut checker = Checker::new(logs);
    checker.judge_agents();
    let judged = checker.stories.iter().map(|(tree, story)| Judged { tree, story, checker: &checker });
    let mut findings: Vec<Finding> = judged.flat_map(|tree| tree.findings()).collect();
    findings.extend(checker.findings.iter().cloned());
    findings.sort();
    (findings, checker.count())
}

struct Checker<'l> {
    stories: BTreeMap<&'l str, Story<'l>>,
    lives: BTreeMap<&'l str, Life<'l>>,
    broker_kills: Vec<f64>,
    /// Agents nobody can ask which tasks they have (A2A 0.3).
    forgetful: BTreeSet<&'l str>,
    findings: Vec<Finding>,
    again: usize,
}

impl<'l> Checker<'l> {
    fn new(logs: &'l Logs) -> Self {
        let lives = logs.agents.iter().map(|(agent, log)| (agent.as_str(), life(agent, log))).collect();
        let forgetful = logs.kills.iter().filter(|line| text(line, "what") == "forgetful");
        let kills = logs.kills.iter().filter(|line| text(line, "what") == "killed");
        Self {
            stories: stories(&logs.callers),
            lives,
            broker_kills: kills.map(at).collect(),
            forgetful: forgetful.map(|line| text(line, "agent")).collect(),
            findings: Vec::new(),
            again: 0,
        }
    }

    fn find(&mut self, rule: Rule, tree: &str, why: String) {
        self.findings.push(Finding { rule, tree: tree.to_owned(), why });
    }

    /// What agents heard, by itself: once, of trees that somebody asked for, and to an end.
    fn judge_agents(&mut self) {
        let trees =
            self.stories.iter().flat_map(|(tree, story)| story.tasks.iter().map(move |task| (*task, *tree)));
        let trees: BTreeMap<&str, &str> = trees.collect();
        let lives = std::mem::take(&mut self.lives);
        for life in lives.values() {
            let mut by_message = BTreeMap::<&str, &Hearing<'_>>::new();
            let mut by_tree = BTreeMap::<&str, (&str, &str)>::new();
            for heard in &life.hearings {
                let Hearing { agent, message_id, task, root, .. } = heard;
                let Some(tree) = trees.get(root) else {
                    self.find(Rule::Doubled, root, format!("{agent} works for a tree nobody was told of"));
                    continue;
                };
                let mine = (*task, *message_id);
                let other = *by_tree.entry(*root).or_insert(mine);
                if other != mine {
                    let why = format!("{agent} was sent {mine:?} and {other:?}, and was to work once");
                    self.find(Rule::Doubled, tree, why);
                }
                match by_message.insert(*message_id, heard) {
                    Some(before) if before.life == heard.life || self.has_told(before, life) => {
                        self.find(Rule::Doubled, tree, format!("{agent} heard {message_id} twice"));
                    }
                    Some(_) => self.again += 1,
                    None => {}
                }
                if !(heard.ended || heard.canceled || heard.life < life.dead.len()) {
                    self.find(Rule::LeftOpen, tree, format!("{agent} is still at {message_id}"));
                }
            }
        }
        self.lives = lives;
    }

    /// Whether an agent that was killed had told the broker what it had done before: it had ended, and the broker was there
    /// to hear it.
    fn has_told(&self, heard: &Hearing<'_>, life: &Life<'_>) -> bool {
        let until = life.dead.get(heard.life).map_or(f64::INFINITY, |(from, _)| *from);
        let was_away = self.broker_kills.iter().any(|kill| heard.at <= *kill + SLACK && *kill <= until);
        heard.ended && !was_away
    }

    /// Whether an agent's part in a tree may be missing: it was dead meanwhile, or it cannot be asked what it has and the
    /// broker died.
    fn may_fail(&self, agent: &str, story: &Story<'_>) -> bool {
        let dead = self.lives.get(agent).map_or(&[][..], |life| life.dead.as_slice());
        let was_dead = dead.iter().any(|(from, to)| *from <= story.over && *to + SLACK >= story.begun);
        let broker_died = self.broker_kills.iter().any(|kill| story.begun <= *kill && *kill <= story.over);
        was_dead || (broker_died && self.forgetful.contains(agent))
    }

    fn hearing(&self, agent: &str, story: &Story<'_>) -> Option<&Hearing<'l>> {
        let hearings = &self.lives.get(agent)?.hearings;
        hearings.iter().rev().find(|heard| story.tasks.contains(heard.root))
    }

    fn count(&self) -> Figures {
        let mut figures = Figures {
            trees: self.stories.len(),
            broker_kills: self.broker_kills.len(),
            agent_kills: self.lives.values().map(|life| life.dead.len()).sum(),
            messages: self.lives.values().map(|life| life.hearings.len()).sum(),
            again: self.again,
            ..Figures::default()
        };
        let delegated =
            self.lives.values().flat_map(|life| &life.hearings).flat_map(|heard| &heard.delegated);
        figures.unknown = delegated.filter(|(_, (_, why))| why.contains("unknown")).count();
        for story in self.stories.values() {
            let open = |kill: &f64| story.begun <= *kill && *kill <= story.over;
            figures.recovered += usize::from(self.broker_kills.iter().any(open));
            figures.streams += story.streams.len();
            figures.resumed += story.streams.values().filter(|heard| heard.after.is_some()).count();
            let Some(end) = story.ends.last() else { continue };
            figures.unknown += usize::from(text(end, "why").contains("unknown"));
            let is_whole = pieces(text(end, "text")).len() == story.plan.expected(0).len();
            *match text(end, "state") {
                "TASK_STATE_COMPLETED" if is_whole => &mut figures.whole,
                "TASK_STATE_COMPLETED" => &mut figures.partial,
                "TASK_STATE_CANCELED" => &mut figures.canceled,
                _ => &mut figures.failed,
            } += 1;
        }
        figures
    }
}

/// One tree being judged.
struct Judged<'c, 'l> {
    tree: &'c str,
    story: &'c Story<'l>,
    checker: &'c Checker<'l>,
}

type Why = (Rule, String);

impl Judged<'_, '_> {
    fn findings(&self) -> Vec<Finding> {
        let mut found: Vec<Why> = Vec::new();
        self.one_task(&mut found);
        for replay in &self.story.replays {
            one_end(replay, &mut found);
            parent_working(replay, &mut found);
        }
        match self.story.replays.first() {
            Some(truth) => self.streams(truth, &mut found),
            None => found.push((Rule::LeftOpen, "nobody saw its end".to_owned())),
        }
        self.end(&mut found);
        let finding = |(rule, why)| Finding { rule, tree: self.tree.to_owned(), why };
        found.into_iter().map(finding).collect()
    }

    fn one_task(&self, found: &mut Vec<Why>) {
        let tasks = &self.story.tasks;
        if tasks.len() > 1 {
            found.push((Rule::Doubled, format!("one message, several tasks: {tasks:?}")));
        }
        for refusal in &self.story.refusals {
            if refusal["error"]["code"] == -32001 {
                found.push((Rule::Lost, format!("its task is not known any more: {refusal}")));
            }
        }
    }

    /// Every stream, and every later look at the same task, is a piece of what the first look showed.
    fn streams(&self, truth: &[&Value], found: &mut Vec<Why>) {
        for replay in &self.story.replays[1..] {
            if digests(replay) != digests(truth) {
                found.push((Rule::Reordered, "looked at twice, it was not the same".to_owned()));
            }
        }
        for (number, heard) in &self.story.streams {
            let (mut last, events) = (heard.after, &heard.events);
            for (index, event) in events.iter().enumerate() {
                let Some(id) = event["id"].as_u64() else { continue };
                let begins = index == 0 && heard.after.is_none();
                if last.is_some_and(|last| id <= last) {
                    found.push((Rule::Reordered, format!("stream {number}: {id} came after {last:?}")));
                } else if let Some(missed) = (!begins).then(|| between(truth, last, id)).flatten() {
                    let why = format!("stream {number}: {missed} is missing between {last:?} and {id}");
                    found.push((Rule::Hole, why));
                }
                last = last.max(Some(id));
                if begins && event["snapshot"] == true {
                    continue;
                }
                match truth.iter().find(|shown| shown["id"] == id) {
                    None => found.push((Rule::Lost, format!("stream {number} showed {id}, which is gone"))),
                    Some(shown) if shown["digest"] != event["digest"] => {
                        found.push((Rule::Reordered, format!("stream {number}: another event under {id}")));
                    }
                    Some(_) => {}
                }
            }
            one_end_at_most(events, found);
        }
    }

    /// How it ended, and whether that is true.
    fn end(&self, found: &mut Vec<Why>) {
        let Some(end) = self.story.ends.first() else {
            found.push((Rule::Lost, "its task is not there at the end".to_owned()));
            return;
        };
        let (state, result) = (text(end, "state"), text(end, "text"));
        if !ends(state) {
            found.push((Rule::LeftOpen, format!("it is {state} at the end")));
            return;
        }
        for other in self.story.ends.iter().chain(&self.story.answers) {
            if (text(other, "state"), text(other, "text")) != (state, result) {
                found.push((Rule::Lied, format!("the task is {end}, and somebody was answered {other}")));
            }
        }
        if let Some(truth) = self.story.replays.first() {
            let shown = delivered(truth);
            if shown != result || truth.last().is_some_and(|last| last["state"] != state) {
                found.push((Rule::Lied, format!("the task is {state} {result}, its events say {shown}")));
            }
        }
        self.result(result, found);
        match state {
            "TASK_STATE_COMPLETED" => self.missing(result, found),
            "TASK_STATE_CANCELED" if self.story.canceled => {}
            _ if self.checker.may_fail(&self.story.plan.0[0].agent, self.story) => {}
            _ => found.push((Rule::Lost, format!("{state} without a reason: {}", text(end, "why")))),
        }
    }

    /// What is delivered is there once and in its place.
    fn result(&self, result: &str, found: &mut Vec<Why>) {
        let expected = self.story.plan.expected(0);
        let mut seen = BTreeSet::new();
        let mut place = None;
        for piece in pieces(result) {
            let here = expected.iter().position(|(expected, _)| *expected == piece);
            if !seen.insert(piece) || here.is_none() {
                found.push((
                    Rule::Doubled,
                    format!("{piece} is there twice, or was never asked for: {result}"),
                ));
            } else if here <= place {
                found.push((Rule::Reordered, format!("{piece} is out of its place: {result}")));
            }
            place = here.max(place);
        }
    }

    /// What is missing in a completed tree is missing for a reason, and the delegator was told.
    fn missing(&self, result: &str, found: &mut Vec<Why>) {
        let there: BTreeSet<&str> = pieces(result).into_iter().collect();
        let plan = &self.story.plan;
        for (piece, node) in plan.expected(0).into_iter().filter(|(piece, _)| !there.contains(piece)) {
            let told_why = plan.path(node).into_iter().any(|node| {
                let (agent, parent) = (&plan.0[node].agent, plan.0[node].parent);
                let delegator =
                    parent.and_then(|parent| self.checker.hearing(&plan.0[parent].agent, self.story));
                let told = delegator.and_then(|heard| heard.delegated.get(agent.as_str()));
                let failed = told.is_some_and(|(state, _)| ends(state) && !state.ends_with("COMPLETED"));
                failed && self.checker.may_fail(agent, self.story)
            });
            if !told_why {
                found.push((Rule::Lost, format!("{piece} is missing, and nobody was told why: {result}")));
            }
        }
    }
}

/// What all events together deliver: a piece is appended to its artifact, or takes its place.
fn delivered(events: &[&Value]) -> String {
    let mut artifacts = Vec::<(&str, String)>::new();
    for event in events.iter().filter(|event| event["artifact"].is_string()) {
        let (artifact, piece) = (text(event, "artifact"), text(event, "text"));
        match artifacts.iter_mut().find(|(known, _)| *known == artifact) {
            Some((_, before)) if event["append"] == true => before.push_str(piece),
            Some((_, before)) => piece.clone_into(before),
            None => artifacts.push((artifact, piece.to_owned())),
        }
    }
    artifacts.into_iter().map(|(_, text)| text).collect()
}

fn digests<'e>(events: &[&'e Value]) -> Vec<(&'e Value, &'e Value)> {
    events.iter().map(|event| (&event["id"], &event["digest"])).collect()
}

/// An event that stands between two others.
fn between(truth: &[&Value], last: Option<u64>, next: u64) -> Option<u64> {
    truth.iter().filter_map(|event| event["id"].as_u64()).find(|id| Some(*id) > last && *id < next)
}

fn is_end(event: &Value) -> bool {
    event["state"].as_str().is_some_and(ends)
}

fn one_end(events: &[&Value], found: &mut Vec<Why>) {
    let count = events.iter().filter(|event| is_end(event)).count();
    if count != 1 || !events.last().is_some_and(|last| is_end(last)) {
        found.push((Rule::TwoEnds, format!("{count} ends, or something behind the end")));
    }
}

fn one_end_at_most(events: &[&Value], found: &mut Vec<Why>) {
    if events.iter().position(|event| is_end(event)).is_some_and(|end| end + 1 < events.len()) {
        found.push((Rule::TwoEnds, "a stream went on behind the end".to_owned()));
    }
}

fn parent_working(events: &[&Value], found: &mut Vec<Why>) {
    let mut open = BTreeSet::new();
    for event in events {
        let child = &event["child"];
        match child["state"].as_str() {
            Some(state) if ends(state) => open.remove(text(child, "task")),
            Some(_) => open.insert(text(child, "task")),
            None => false,
        };
        // A parent that is canceled or fails takes its children down, and its stream does not show that any more: what
        // became of them their agents say.
        let takes_down = is_end(event) && event["state"] != "TASK_STATE_COMPLETED";
        let working = event["state"].as_str().is_none_or(|state| state == "TASK_STATE_WORKING");
        if !open.is_empty() && !working && !takes_down {
            found.push((Rule::ParentNotWorking, format!("{} while {open:?} is open", event["state"])));
        }
    }
}
