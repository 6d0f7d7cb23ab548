//! A language model's opinion on the few that lead: asked for one letter with its probability, and where the endpoint
//! does not tell any, for a rating of each agent.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use broker_selection::Agent;
use broker_selection::reranking::{Form, Unreadable, tokens_used};
use tokio::time::Instant;

use super::guard::{Bounds, Guard, Silence};
use crate::ports::stages::{Judged, ModelEndpoint, Reranker};

const PATH: &str = "/chat/completions";
/// For how long an endpoint is not asked again for probabilities that it did not tell.
const MUTE_FOR: Duration = Duration::from_hours(1);

/// A model behind an endpoint.
pub struct LanguageModel {
    guard: Guard,
    model: String,
    mute_until: Mutex<Option<Instant>>,
}

impl LanguageModel {
    /// The model of this name, asked within bounds.
    pub fn new(endpoint: Arc<dyn ModelEndpoint>, model: String, bounds: Bounds) -> Self {
        Self { guard: Guard::new(endpoint, bounds), model, mute_until: Mutex::default() }
    }

    /// In the first form if it is any use, else in the second.
    async fn judge(&self, request: &str, shown: &[Agent]) -> Result<Judged, Silence> {
        let mut is_mute = self.is_mute();
        if !is_mute {
            match self.say(Form::Label, request, shown).await? {
                Ok(judged) => return Ok(judged),
                Err(unread) => is_mute = unread.is_none_or(|unread| unread == Unreadable::NoLogprobs),
            }
        }
        let judged = self.say(Form::Rubric, request, shown).await?;
        let unread = |unread: Option<Unreadable>| {
            Silence::Failed(unread.map_or_else(|| "it refuses the question".to_owned(), |it| it.to_string()))
        };
        let judged = judged.map_err(unread)?;
        if is_mute && !self.is_mute() {
            *self.mute() = Some(Instant::now() + MUTE_FOR);
        }
        Ok(judged)
    }

    /// What it says in a form; an inner error if that form is of no use with it, with what was said if anything was.
    async fn say(
        &self,
        form: Form,
        request: &str,
        shown: &[Agent],
    ) -> Result<Result<Judged, Option<Unreadable>>, Silence> {
        let question = form.question(&self.model, request, shown);
        let answer = match self.guard.ask(PATH, question, tokens_used).await {
            Err(Silence::Refused(_)) => return Ok(Err(None)),
            other => other?,
        };
        match form.read(&answer, shown.len()) {
            Ok(opinion) => Ok(Ok(Judged { opinion, by: format!("{} by {}", self.model, form.name()) })),
            Err(Unreadable::Form(reason)) => Err(Silence::Failed(Unreadable::Form(reason).to_string())),
            Err(unread) => Ok(Err(Some(unread))),
        }
    }

    fn is_mute(&self) -> bool {
        self.mute().is_some_and(|until| Instant::now() < until)
    }

    fn mute(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.mute_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Reranker for LanguageModel {
    async fn opinion(&self, request: &str, shown: &[Agent]) -> Result<Judged, String> {
        let judged = self.guard.within(self.guard.timeout(), self.judge(request, shown)).await;
        judged.map_err(|silence| silence.to_string())
    }
}
