//! BM25 over the fields of cards: how much of a request's words stands in an agent's name, description, skills, tags and
//! examples. An agent is added, replaced or removed without touching what is kept of the others; only counts are shared.

mod scores;

use std::collections::{BTreeMap, HashMap};

pub(crate) use scores::MEASURES;

use crate::agent::Agent;
use crate::text::words;

/// The fields of a card.
const FIELDS: usize = 5;
/// A word is common if more than one in so many agents has it, and more than [`COMMON_FROM`].
const COMMON_SHARE: usize = 16;
/// Agents up to which no word is common.
const COMMON_FROM: usize = 1_024;

/// A word's place in the index.
type Term = u32;

/// How often a word stands in each field of one agent.
#[derive(Debug, Clone, Copy)]
struct Posting {
    slot: u32,
    counts: [u8; FIELDS],
}

/// What is kept of one agent.
#[derive(Debug, Clone, Default)]
struct Document {
    terms: Vec<Term>,
    name: Vec<Term>,
}

/// The words of all agents.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lexical {
    terms: HashMap<Box<str>, Term>,
    postings: Vec<Vec<Posting>>,
    documents: Vec<Document>,
    /// Words in each field of each agent, close together.
    lengths: Vec<[u16; FIELDS]>,
    /// Words in each field, over all agents.
    totals: [u64; FIELDS],
    count: usize,
}

/// A word of a request, its place (none if no card has it) and its weight.
type Word = (String, Option<Term>, f32);

/// The words of a request, each once, the rarest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    words: Vec<Word>,
    /// How many of them are rare.
    rare: usize,
    /// The weights of all, together.
    weight: f32,
    /// The share of that weight in words some card has.
    pub(crate) coverage: f32,
}

impl Wanted {
    /// How many words there are.
    pub(crate) fn count(&self) -> usize {
        self.words.len()
    }
}

impl Lexical {
    /// Adds an agent in a free slot.
    pub(crate) fn add(&mut self, slot: u32, agent: &Agent) {
        let fields = fields(agent);
        let mut counts: BTreeMap<Term, [u8; FIELDS]> = BTreeMap::new();
        let mut document = Document::default();
        let mut lengths = [0; FIELDS];
        for (field, text) in fields.iter().enumerate() {
            let words = words(text);
            for word in &words {
                let term = self.term(word);
                if let Some(count) = counts.entry(term).or_default().get_mut(field) {
                    *count = count.saturating_add(1);
                }
                if field == 0 && !document.name.contains(&term) {
                    document.name.push(term);
                }
            }
            if let (Some(length), Some(total)) = (lengths.get_mut(field), self.totals.get_mut(field)) {
                *length = u16::try_from(words.len()).unwrap_or(u16::MAX);
                *total += u64::from(*length);
            }
        }
        for (&term, &counts) in &counts {
            document.terms.push(term);
            let Some(postings) = self.postings.get_mut(term as usize) else { continue };
            let at = postings.partition_point(|posting| posting.slot < slot);
            postings.insert(at, Posting { slot, counts });
        }
        let at = slot as usize;
        if self.documents.len() <= at {
            self.documents.resize(at + 1, Document::default());
            self.lengths.resize(at + 1, [0; FIELDS]);
        }
        if let Some(kept) = self.lengths.get_mut(at) {
            *kept = lengths;
        }
        if let Some(kept) = self.documents.get_mut(at) {
            *kept = document;
        }
        self.count += 1;
    }

    /// Removes the agent in a slot.
    pub(crate) fn remove(&mut self, slot: u32) {
        let Some(document) = self.documents.get_mut(slot as usize).map(std::mem::take) else { return };
        for term in document.terms {
            let Some(postings) = self.postings.get_mut(term as usize) else { continue };
            if let Ok(at) = postings.binary_search_by_key(&slot, |posting| posting.slot) {
                postings.remove(at);
            }
        }
        let lengths = self.lengths.get_mut(slot as usize).map(std::mem::take).unwrap_or_default();
        for (total, length) in self.totals.iter_mut().zip(lengths) {
            *total -= u64::from(length);
        }
        self.count -= 1;
    }

    /// Looks the words of a request up.
    pub(crate) fn wanted(&self, request: &str) -> Wanted {
        let mut wanted = Wanted::default();
        let mut known = 0.0;
        let common = COMMON_FROM.max(self.count / COMMON_SHARE);
        let mut words = words(request);
        words.sort_unstable();
        words.dedup();
        for word in words {
            let term = self.terms.get(word.as_str()).copied();
            let agents = self.agents_with(term);
            let weight = self.rarity(agents);
            wanted.weight += weight;
            if agents > 0 {
                known += weight;
            }
            wanted.words.push((word, term.filter(|_| agents > 0), weight));
        }
        wanted.words.sort_by(|a, b| b.2.total_cmp(&a.2).then_with(|| a.0.cmp(&b.0)));
        if wanted.weight > 0.0 {
            wanted.coverage = known / wanted.weight;
        }
        wanted.rare = wanted.words.partition_point(|(_, term, _)| self.agents_with(*term) <= common);
        wanted
    }

    /// The request's words that stand in an agent's card, the weightiest first, each with its share of the weight.
    pub(crate) fn matching<'a>(&self, wanted: &'a Wanted, slot: u32) -> Vec<(&'a str, f32)> {
        let Some(document) = self.documents.get(slot as usize) else { return Vec::new() };
        let mut found: Vec<(&str, f32)> = wanted
            .words
            .iter()
            .filter(|(_, term, _)| term.is_some_and(|term| document.terms.binary_search(&term).is_ok()))
            .map(|(word, _, weight)| (word.as_str(), weight / wanted.weight))
            .collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
        found
    }

    /// The share of the name's weight that the request has.
    pub(crate) fn name_match(&self, wanted: &Wanted, slot: u32) -> f32 {
        let Some(document) = self.documents.get(slot as usize) else { return 0.0 };
        let mut all = 0.0;
        let mut found = 0.0;
        for &term in &document.name {
            let weight = self.rarity(self.postings.get(term as usize).map_or(0, Vec::len));
            all += weight;
            if wanted.words.iter().any(|(_, wanted, _)| *wanted == Some(term)) {
                found += weight;
            }
        }
        if all > 0.0 { found / all } else { 0.0 }
    }

    /// Bytes kept, about.
    pub(crate) fn bytes(&self) -> usize {
        let words: usize = self.terms.keys().map(|word| word.len() + size_of::<(Box<str>, Term)>() + 1).sum();
        let postings: usize = self.postings.iter().map(|list| list.capacity() * size_of::<Posting>()).sum();
        let documents: usize = self
            .documents
            .iter()
            .map(|kept| {
                size_of::<Document>() + (kept.terms.capacity() + kept.name.capacity()) * size_of::<Term>()
            })
            .sum();
        words + postings + documents + self.postings.len() * size_of::<Vec<Posting>>()
    }

    fn term(&mut self, word: &str) -> Term {
        if let Some(&term) = self.terms.get(word) {
            return term;
        }
        let term = Term::try_from(self.postings.len()).unwrap_or(Term::MAX);
        self.terms.insert(word.into(), term);
        self.postings.push(Vec::new());
        term
    }

    fn agents_with(&self, term: Option<Term>) -> usize {
        term.and_then(|term| self.postings.get(term as usize)).map_or(0, Vec::len)
    }

    /// The weight of a word that this many agents have.
    #[expect(clippy::cast_precision_loss, reason = "counts of agents")]
    fn rarity(&self, agents: usize) -> f32 {
        let (all, agents) = (self.count as f32, agents as f32);
        (1.0 + (all - agents + 0.5) / (agents + 0.5)).ln()
    }
}

/// The texts of name, description, skills, tags and examples.
fn fields(agent: &Agent) -> [String; FIELDS] {
    let skills = agent.skills.iter().flat_map(|skill| [skill.name.as_str(), skill.description.as_str()]);
    let tags = agent.tags.iter().chain(agent.skills.iter().flat_map(|skill| skill.tags.iter()));
    [
        agent.name.clone(),
        agent.description.clone(),
        join(skills),
        join(tags.map(String::as_str)),
        join(agent.examples()),
    ]
}

fn join<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    texts.collect::<Vec<_>>().join("\n")
}
