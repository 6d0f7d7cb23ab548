//! What the index keeps of one agent besides its words: the vectors of its card, of its examples and of requests it was
//! given before, and their mean, the prototype.

use crate::agent::Agent;
use crate::embedding::{EmbedError, Quantised, normalise};
use crate::outcomes::Learned;

/// How much a skill's own text counts in the prototype, where name and description of the agent count one.
const SKILL_WEIGHT: f32 = 0.5;
/// How much a request that went well counts there.
const LEARNED_WEIGHT: f32 = 1.0;
/// What is taken for the nearness of samples to a prototype where there are none.
const LONE_COHESION: f32 = 0.7;
/// Most examples of one card that are kept as vectors.
const MAX_EXAMPLES: usize = 64;

/// The vectors of one agent.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) card: Quantised,
    pub(crate) skills: Vec<Quantised>,
    pub(crate) examples: Vec<Quantised>,
    pub(crate) learned: Learned,
    prototype: Vec<f32>,
    cohesion: f32,
}

impl Entry {
    /// An agent's entry, with the vectors of its texts as they are made.
    pub(crate) fn new(
        agent: &Agent,
        embed: &mut dyn FnMut(&str) -> Result<Vec<f32>, EmbedError>,
    ) -> Result<Self, EmbedError> {
        let mut vector = |text: &str| Ok(Quantised::new(&embed(text)?));
        let card = vector(&format!("{}. {}", agent.name, agent.description))?;
        let described = agent.skills.iter().filter(|skill| !skill.description.trim().is_empty());
        let skills = described.map(|skill| vector(&format!("{}. {}", skill.name, skill.description)));
        let skills = skills.collect::<Result<_, EmbedError>>()?;
        let examples = agent.examples().take(MAX_EXAMPLES).map(vector);
        Ok(Self {
            id: agent.id.clone(),
            card,
            skills,
            examples: examples.collect::<Result<_, EmbedError>>()?,
            learned: Learned::default(),
            prototype: Vec::new(),
            cohesion: 0.0,
        })
    }

    /// Takes what was learned of the agent in.
    pub(crate) fn attach(&mut self, learned: Option<&Learned>) {
        self.learned = learned.cloned().unwrap_or_default();
        let mut sum = vec![0.0; self.card.bytes.len()];
        let mut add = |vector: &Quantised, weight: f32| {
            for (sum, x) in sum.iter_mut().zip(vector.to_vec()) {
                *sum += weight * x;
            }
        };
        add(&self.card, 1.0);
        self.skills.iter().for_each(|skill| add(skill, SKILL_WEIGHT));
        self.examples.iter().for_each(|example| add(example, 1.0));
        self.learned.good().for_each(|request| add(request, LEARNED_WEIGHT));
        normalise(&mut sum);
        let whole = Quantised::new(&sum);
        self.prototype = sum;
        let (count, near) =
            self.samples().fold((0.0, 0.0), |(n, near), one| (n + 1.0, near + one.dot(&whole)));
        self.cohesion = if count > 0.0 { near / count } else { LONE_COHESION };
    }

    /// How near the agent's samples are to their prototype, on average.
    pub(crate) fn cohesion(&self) -> f32 {
        self.cohesion
    }

    /// The mean of all.
    pub(crate) fn prototype(&self) -> &[f32] {
        &self.prototype
    }

    /// Requests the agent is known to be right for: the card's examples, then what was learned.
    pub(crate) fn samples(&self) -> impl Iterator<Item = &Quantised> {
        self.examples.iter().chain(self.learned.good())
    }

    /// The vectors that say how the registry lies.
    pub(crate) fn vectors(&self) -> impl Iterator<Item = Vec<f32>> {
        std::iter::once(&self.card).chain(self.samples()).map(Quantised::to_vec)
    }

    /// Bytes kept, about.
    pub(crate) fn bytes(&self) -> usize {
        let each = self.card.bytes.len() + size_of::<Quantised>();
        size_of::<Self>()
            + self.id.len()
            + self.prototype.len() * size_of::<f32>()
            + each * (1 + self.skills.len() + self.examples.len())
            + self.learned.bytes()
    }
}
