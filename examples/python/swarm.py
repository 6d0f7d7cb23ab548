"""The pattern of OpenAI's Swarm, for agents that live elsewhere: what a model may do is plain functions, a function
returns text and the model goes on with it. `ask` makes such a function of an agent at the broker: a delegation, whose
result is the text. `hand_over` makes one that gives the conversation away, which Swarm does by returning an agent: mode
`handoff`, after which the task is the other agent's and this one's grant is dead. Swarm itself is not needed: its loop is
`run`, below. The model is a script, so that nothing leaves the machine; put yours in its place.
"""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from a2a.client import ClientConfig, create_client
from a2a.helpers.proto_helpers import (
    get_artifact_text,
    new_task_from_user_message,
    new_text_message,
    new_text_part,
)
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.tasks import TaskUpdater
from a2a.types import AgentSkill, Message, Role, SendMessageRequest
from google.protobuf.json_format import MessageToDict

from serving import port_argument, serve

DELEGATION = "urn:bailiwick:ext:delegation:v1"
SKILL = AgentSkill(
    id="triage",
    name="Triage",
    description="Answers customers, or hands them over to whom they need",
    tags=["support"],
    examples=["Where is my order?", "I want my money back"],
)

Function = Callable[[str], Awaitable[str | None]]


async def send(task: Message, agent: str, text: str, wishes: dict[str, Any]) -> str:
    """Sends a text to an agent, in the name of the task this one is working on; what came of it, also a refusal."""
    told = MessageToDict(task.metadata)[DELEGATION]
    request = SendMessageRequest(message=new_text_message(text, role=Role.ROLE_USER))
    request.message.metadata.update({DELEGATION: wishes})
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {told['grant']}"}, timeout=None) as http:
        # Not streamed: the one answer is the task as it ended.
        config = ClientConfig(httpx_client=http, streaming=False)
        client = await create_client(f"{told['broker']}/agents/{agent}", config)
        try:
            [answer] = [event async for event in client.send_message(request)]
        except Exception as error:  # noqa: BLE001 - whatever it is, the model is to hear of it
            return f"Error: {error}"
    if answer.HasField("message"):
        return "\n".join(part.text for part in answer.message.parts)
    made = [get_artifact_text(artifact) for artifact in answer.task.artifacts]
    said = [part.text for part in answer.task.status.message.parts]
    return "\n".join(made or said)


def ask(task: Message, agent: str) -> Function:
    """A function for the model: has an agent do something, and returns its result."""

    async def function(text: str) -> str:
        return await send(task, agent, text, {})

    function.__name__, function.__doc__ = f"ask_{agent}", f"Asks the agent {agent}."
    return function


def hand_over(task: Message, agent: str) -> Function:
    """A function for the model: gives the whole task to an agent, for good. Returns nothing: there is no going on."""

    async def function(text: str) -> str | None:
        refused = await send(task, agent, text, {"mode": "handoff"})
        return refused if refused.startswith("Error: ") else None

    function.__name__, function.__doc__ = f"hand_over_to_{agent}", f"Hands the customer over to the agent {agent}."
    return function


def model(history: list[dict[str, str]], functions: dict[str, str]) -> dict[str, str]:
    """Stands for a model. Given what was said and what the functions are for, it calls one, or answers."""
    first, last = history[0]["content"], history[-1]
    if last["role"] == "function":
        return {"content": f"I have looked into it: {last['content']}"}
    wanted = "hand_over_to_refunds" if "money back" in first else "ask_orders"
    return {"call": wanted, "text": first} if wanted in functions else {"content": "I cannot help with that."}


async def run(said: str, functions: list[Function]) -> str | None:
    """Swarm's loop: the model calls functions until it answers. Nothing, if somebody else will."""
    by_name = {function.__name__: function for function in functions}
    described = {name: inspect.getdoc(function) or "" for name, function in by_name.items()}
    history = [{"role": "user", "content": said}]
    while "content" not in (answer := model(history, described)):
        result = await by_name[answer["call"]](answer["text"])
        if result is None:
            return None
        history.append({"role": "function", "name": answer["call"], "content": result})
    return answer["content"]


class Triage(AgentExecutor):
    """A front desk: asks `orders`, and hands over to `refunds`."""

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        if not context.current_task:
            await event_queue.enqueue_event(new_task_from_user_message(context.message))
        updates = TaskUpdater(event_queue, context.task_id, context.context_id)
        await updates.start_work()
        task = context.message
        answer = await run(context.get_user_input(), [ask(task, "orders"), hand_over(task, "refunds")])
        if answer:
            await updates.add_artifact([new_text_part(answer)], name="answer")
        # After a handover nobody hears this: the broker listens to the other agent.
        await updates.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


if __name__ == "__main__":
    serve(Triage(), "triage", [SKILL], port_argument())
