//! A specialist: an ordinary A2A agent. It does one thing and knows nothing of the broker that calls it.

use a2a::{A2AError, StreamResponse, TaskState};
use a2a_server::{AgentExecutor, ExecutorContext};
use futures::stream::{self, BoxStream, StreamExt};

/// Answers a text with its first five words.
struct Specialist;

impl AgentExecutor for Specialist {
    fn execute(&self, context: ExecutorContext) -> BoxStream<'static, Result<StreamResponse, A2AError>> {
        let text = context.message.as_ref().and_then(|message| message.text()).unwrap_or_default();
        let words: Vec<&str> = text.split_whitespace().take(5).collect();
        let events = [
            examples::submitted(&context),
            examples::status(&context, TaskState::Working, None),
            examples::artifact(&context, "summary", &words.join(" ")),
            examples::status(&context, TaskState::Completed, None),
        ];
        stream::iter(events.map(Ok)).boxed()
    }

    fn cancel(&self, context: ExecutorContext) -> BoxStream<'static, Result<StreamResponse, A2AError>> {
        stream::iter([Ok(examples::status(&context, TaskState::Canceled, None))]).boxed()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    examples::serve(Specialist, "specialist", "summarize").await
}
