//! The fleet as one caller's tools: what it may use, and which of them a call means.

use std::sync::Arc;

use bytes::Bytes;
use protocol::A2aError;
use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ErrorData, Implementation, JsonObject,
    ListToolsResult, PaginatedRequestParams, ProtocolVersion, ServerCapabilities, ServerConfig,
};
use rmcp::service::{RequestContext, RoleServer};
use tokio::sync::{Semaphore, watch};

use super::super::leaving::Phase;
use super::super::operations::Context;
use super::arguments::{self, Asked, Followed};
use super::call::Call;
use super::under_way::UnderWay;
use super::{outcome, tools};
use crate::service::{AdviceWanted, Broker, Caller, Target};

/// What the host's model is told of all tools together.
const INSTRUCTIONS: &str = "These tools are agents. A call delegates a task to one of them and answers with its result; the \
    task's id stands in `_meta` under `bailiwick/delegation`. An answer may be a question: then call the same tool again \
    with `task_id` and the answer as `message`. When a call breaks off, `bailiwick_task` finds the task again.";

/// What one request is served with.
#[derive(Clone)]
pub(super) struct Fleet {
    pub(super) broker: Arc<Broker>,
    pub(super) caller: Caller,
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) streams: Arc<Semaphore>,
    pub(super) under_way: Arc<UnderWay>,
    /// The session it says it belongs to.
    pub(super) session: Option<String>,
    pub(super) cancel_on_hangup: bool,
    /// What the request was read from: it counts for it.
    _counted: Bytes,
}

impl Fleet {
    pub(super) fn new(context: &Context, caller: Caller, session: Option<String>, counted: Bytes) -> Self {
        Self {
            broker: Arc::clone(&context.broker),
            caller,
            phase: context.phase(),
            streams: Arc::clone(&context.streams),
            under_way: Arc::clone(&context.under_way),
            session,
            cancel_on_hangup: context.mcp.cancel_on_hangup,
            _counted: counted,
        }
    }

    async fn advise(&self, arguments: JsonObject) -> CallToolResult {
        let wanted: AdviceWanted = match arguments::read(arguments) {
            Ok(wanted) => wanted,
            Err(problem) => return outcome::misfit(&problem),
        };
        match self.broker.advise(&self.caller, wanted).await.map(serde_json::to_value) {
            Ok(Ok(advice)) => CallToolResult::structured(advice),
            Ok(Err(error)) => outcome::misfit(&error.to_string()),
            Err(refused) => outcome::of_error(&refused, None),
        }
    }

    async fn ask(
        self,
        target: Target,
        skill: Option<String>,
        arguments: JsonObject,
        context: RequestContext<RoleServer>,
    ) -> CallToolResult {
        let asked = arguments::read::<Asked>(arguments)
            .and_then(|asked| asked.into_request(skill.as_deref(), &context.meta));
        match asked {
            Ok(request) => Call::new(self, context).delegate(&target, request).await,
            Err(problem) => outcome::misfit(&problem),
        }
    }

    async fn look_after(self, arguments: JsonObject, context: RequestContext<RoleServer>) -> CallToolResult {
        match arguments::read::<Followed>(arguments) {
            Ok(Followed { task_id, cancel: false }) => Call::new(self, context).wait_for(&task_id).await,
            Ok(Followed { task_id, cancel: true }) => Call::new(self, context).cancel(&task_id).await,
            Err(problem) => outcome::misfit(&problem),
        }
    }
}

impl ServerHandler for Fleet {
    fn get_info(&self) -> ServerConfig {
        let broker = Implementation::new("bailiwick", env!("CARGO_PKG_VERSION")).with_title("Bailiwick");
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_protocol_version(ProtocolVersion::LATEST)
            .with_server_info(broker)
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let offered =
            self.broker.offered_skills(&self.caller).await.map_err(|error| protocol_error(&error))?;
        let after = request.and_then(|request| request.cursor);
        Ok(tools::page(&offered, after.as_deref()))
    }

    /// What a tool cannot do is its result, for the model to read; only that there is no such tool is an error of the protocol.
    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let (name, arguments) = (&*request.name, request.arguments.unwrap_or_default());
        let fleet = self.clone();
        let result = match name {
            tools::DELEGATE => fleet.ask(Target::Any, None, arguments, context).await,
            tools::ADVISE => fleet.advise(arguments).await,
            tools::TASK => fleet.look_after(arguments, context).await,
            _ => {
                let named = |agent: &str, skill: &str| tools::name_of(agent, skill) == name;
                let Some((agent, skill)) = self.broker.find_skill(named) else {
                    let message = format!("there is no tool {name:?}; tools/list names those there are");
                    return Err(ErrorData::invalid_params(message, None));
                };
                fleet.ask(Target::Agent(agent), Some(skill), arguments, context).await
            }
        };
        Ok(result.into())
    }
}

fn protocol_error(error: &A2aError) -> ErrorData {
    ErrorData::internal_error(error.message.clone(), None)
}
