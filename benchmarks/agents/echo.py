"""The echo on the official Python SDK, unmodified, on uvicorn: a message's text comes back as a message, or with --tasks
as a task's artifact."""

import argparse
import asyncio

import uvicorn
from a2a.helpers.proto_helpers import new_task_from_user_message, new_text_message, new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill
from starlette.applications import Starlette


class Echo(AgentExecutor):
    def __init__(self, tasks: bool) -> None:
        self.tasks = tasks

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        said = context.message.parts[0].text
        if not self.tasks:
            await event_queue.enqueue_event(new_text_message(said, context_id=context.context_id))
            return
        await event_queue.enqueue_event(new_task_from_user_message(context.message))
        updates = TaskUpdater(event_queue, context.task_id, context.context_id)
        await updates.add_artifact([new_text_part(said)], artifact_id="echo")
        await updates.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        raise NotImplementedError("nothing to cancel")


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--tasks", action="store_true")
    arguments = parser.parse_args()
    url = f"http://127.0.0.1:{arguments.port}"
    card = AgentCard(
        name="echo",
        description="Echoes",
        version="1.0.0",
        supported_interfaces=[AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version="1.0")],
        capabilities=AgentCapabilities(streaming=False),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[AgentSkill(id="echo", name="Echo", description="Echoes", tags=["echo"])],
    )
    handler = DefaultRequestHandler(Echo(arguments.tasks), InMemoryTaskStore(), card)
    routes = create_agent_card_routes(card) + create_jsonrpc_routes(handler, "/")
    config = uvicorn.Config(Starlette(routes=routes), host="127.0.0.1", port=arguments.port, log_level="error", access_log=False)
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    asyncio.run(main())
