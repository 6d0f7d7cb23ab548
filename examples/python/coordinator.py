"""A coordinator: delegates to two specialists through the broker, in parallel, and merges their results."""

import asyncio

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
    id="coordinate",
    name="Coordinate",
    description="Has two specialists work on a text",
    tags=["coordination"],
    examples=["Look at this from two sides"],
)


async def delegate(task: Message, agent: str, text: str) -> str:
    """Has an agent do a part of the task this agent is working on; the text of what it made."""
    # What the broker told us with the task: where it is, and what we may do in the task's name.
    told = MessageToDict(task.metadata)[DELEGATION]
    http = httpx.AsyncClient(headers={"Authorization": f"Bearer {told['grant']}"}, timeout=None)
    client = await create_client(f"{told['broker']}/agents/{agent}", ClientConfig(httpx_client=http))
    request = SendMessageRequest(message=new_text_message(text, role=Role.ROLE_USER))
    events = [event async for event in client.send_message(request)]
    # From here on it is only about what came back.
    made = [event.artifact_update.artifact for event in events if event.HasField("artifact_update")]
    await http.aclose()
    return "\n".join(get_artifact_text(artifact) for artifact in made)


class Coordinator(AgentExecutor):
    """Asks `left` and `right` at the same time."""

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        await event_queue.enqueue_event(context.current_task or new_task_from_user_message(context.message))
        updates = TaskUpdater(event_queue, context.task_id, context.context_id)
        await updates.start_work()
        text = context.get_user_input()
        parts = await asyncio.gather(*(delegate(context.message, agent, text) for agent in ("left", "right")))
        await updates.add_artifact([new_text_part("\n".join(parts))], name="merged")
        await updates.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


if __name__ == "__main__":
    serve(Coordinator(), "coordinator", [SKILL], port_argument())
