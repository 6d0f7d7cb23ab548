"""A Google ADK agent that delegates through the broker, with nothing of ADK's left out or replaced: the specialists are
`RemoteA2aAgent`s on the broker's cards, the model calls them as `AgentTool`s, and `to_a2a` serves the whole. What makes a
call of a tool a child of the task this agent works on is its grant: one hook of ADK's takes it from the task's first
message, another puts it on each call. The model is a script, so that nothing leaves the machine; put yours in its place.
"""

import argparse
import asyncio
import socket
from collections.abc import AsyncGenerator
from contextvars import ContextVar

import httpx
import uvicorn
from a2a.client import A2ACardResolver, ClientCallContext, ClientConfig, ClientFactory
from a2a.server.agent_execution import RequestContext
from a2a.types import Message
from google.adk.a2a.agent.config import A2aRemoteAgentConfig, ParametersConfig, RequestInterceptor
from google.adk.a2a.executor.a2a_agent_executor import A2aAgentExecutor
from google.adk.a2a.executor.config import A2aAgentExecutorConfig, ExecuteInterceptor
from google.adk.a2a.utils.agent_to_a2a import to_a2a
from google.adk.agents import LlmAgent
from google.adk.agents.invocation_context import InvocationContext
from google.adk.agents.remote_a2a_agent import RemoteA2aAgent
from google.adk.models import BaseLlm, LlmRequest, LlmResponse
from google.adk.tools.agent_tool import AgentTool
from google.genai.types import Content, Part
from google.protobuf.json_format import MessageToDict

DELEGATION = "urn:bailiwick:ext:delegation:v1"
ATTEMPTS = 60
PAUSE_SECONDS = 0.5

# The grant of the task that is being worked on. Not in ADK's session, which the tasks of a conversation share, nor in
# `RunConfig.custom_metadata`, which leaves with every event.
grant: ContextVar[str] = ContextVar("grant")


async def take_grant(context: RequestContext) -> RequestContext:
    """Before the agent runs: what it may do in this task's name."""
    grant.set(MessageToDict(context.message.metadata)[DELEGATION]["grant"])
    return context


async def show_grant(
    _: InvocationContext, message: Message, parameters: ParametersConfig
) -> tuple[Message, ParametersConfig]:
    """Before a remote agent is asked: in whose name."""
    headers = {"Authorization": f"Bearer {grant.get()}"}
    parameters.client_call_context = ClientCallContext(service_parameters=headers)
    return message, parameters


class SendAgain(httpx.AsyncHTTPTransport):
    """Sends a request again when the broker went away: the same message id is the same task, so nothing is done twice."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        for _ in range(ATTEMPTS):
            try:
                return await super().handle_async_request(request)
            except httpx.TransportError:
                await asyncio.sleep(PAUSE_SECONDS)
        return await super().handle_async_request(request)


async def specialist(broker: str, name: str) -> AgentTool:
    """An agent at the broker, as a tool."""
    http = httpx.AsyncClient(transport=SendAgain(), timeout=None)
    # The card itself: given its URL, RemoteA2aAgent refuses cards that offer gRPC, too, since "host:port" is no URL.
    card = await A2ACardResolver(http, f"{broker}/agents/{name}").get_agent_card()
    remote = RemoteA2aAgent(
        name,
        card,
        # Not streamed: of a streamed artifact, AgentTool hands the model the last piece only.
        a2a_client_factory=ClientFactory(ClientConfig(httpx_client=http, streaming=False)),
        config=A2aRemoteAgentConfig(request_interceptors=[RequestInterceptor(before_request=show_grant)]),
    )
    return AgentTool(remote)


class Script(BaseLlm):
    """Stands for a model: calls every tool it has with what it was asked, all at once, then says what they answered."""

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        parts = llm_request.contents[-1].parts
        answers = [part.function_response for part in parts if part.function_response]
        if answers:
            said = [Part(text="\n".join(f"{answer.name}: {answer.response['result']}" for answer in answers))]
        else:
            asked = "\n".join(part.text for part in parts if part.text)
            said = [Part.from_function_call(name=tool, args={"request": asked}) for tool in llm_request.tools_dict]
        yield LlmResponse(content=Content(role="model", parts=said))


async def serve(arguments: argparse.Namespace) -> None:
    """Serves until interrupted; says where on standard output."""
    agent = LlmAgent(
        name="coordinator",
        description="Has specialists work on a text",
        model=Script(model="script"),
        tools=[await specialist(arguments.broker, name) for name in arguments.agents],
    )
    hooks = A2aAgentExecutorConfig(execute_interceptors=[ExecuteInterceptor(before_agent=take_grant)])
    listener = socket.create_server(("127.0.0.1", arguments.port))
    host, port = listener.getsockname()
    app = to_a2a(
        agent,
        host=host,
        port=port,
        agent_executor_factory=lambda runner: A2aAgentExecutor(runner=runner, config=hooks),
    )
    print(f"listening on http://{host}:{port}", flush=True)
    await uvicorn.Server(uvicorn.Config(app, log_level="warning")).serve(sockets=[listener])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("agents", nargs="*", default=["left", "right"], help="the broker's names of the specialists")
    parser.add_argument("--broker", default="http://127.0.0.1:8420")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    asyncio.run(serve(parser.parse_args()))
