"""The agent of `scripted.py`, on the official SDK for A2A 0.3: its message's text is the same JSON script.

It knows `delay_ms`, `gate`, `delegate` (`to`, `script`, `skill`, `scope`), `chunks`, `pace_ms`, `ask`, `message` and
`end`, and delegates on through the broker as a client of 0.3.
"""

import argparse
import asyncio
import json
import socket
import uuid

import httpx
import uvicorn
from a2a.client import ClientConfig, ClientFactory
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.apps import A2ARESTFastAPIApplication, A2AStarletteApplication
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import (
    AgentCapabilities,
    AgentCard,
    AgentSkill,
    Message,
    Part,
    Role,
    TaskState,
    TextPart,
    TransportProtocol,
)
from a2a.utils import new_agent_text_message, new_task
from starlette.applications import Starlette
from starlette.routing import Mount

from script import DELEGATION, read_script
from wire_log import WireLog


def text_part(text: str) -> Part:
    return Part(root=TextPart(text=text))


class Scripted(AgentExecutor):
    """Does what messages tell it."""

    def __init__(self, name: str, transport: TransportProtocol, log: WireLog) -> None:
        self.name, self.transport, self.log = name, transport, log
        self.told: dict[str, str | None] = {}

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        told = (context.message.metadata or {}).get(DELEGATION, {})
        self.log.write("received", agent=self.name, message_id=context.message.message_id, told=told)
        self.told[context.task_id] = told.get("task")
        if context.current_task is not None:
            await self.finish_answer(context, event_queue)
            return
        script = read_script(context.get_user_input())
        if "message" in script:
            await event_queue.enqueue_event(new_agent_text_message(script["message"], context_id=context.context_id))
            return
        task = new_task(context.message)
        await event_queue.enqueue_event(task)
        updates = TaskUpdater(event_queue, task.id, task.context_id)
        await updates.start_work()
        await asyncio.sleep(script.get("delay_ms", 0) / 1000)
        if "gate" in script:
            async with httpx.AsyncClient(timeout=None) as http:
                await http.get(script["gate"])
        results = [await self.delegate(told, order) for order in script.get("delegate", [])]
        if "ask" in script:
            await updates.requires_input(updates.new_agent_message([text_part(script["ask"])]), final=True)
            return
        artifact_id = str(uuid.uuid4())
        chunks = script.get("chunks", []) + results
        for index, chunk in enumerate(chunks):
            await asyncio.sleep(script.get("pace_ms", 0) / 1000)
            await updates.add_artifact(
                [text_part(chunk)],
                artifact_id=artifact_id,
                name="result",
                append=index > 0,
                last_chunk=index == len(chunks) - 1,
            )
        self.log.write("ended", agent=self.name, task=told.get("task"))
        if script.get("end") == "failed":
            await updates.failed(updates.new_agent_message([text_part("told to fail")]))
        else:
            await updates.complete()

    async def finish_answer(self, context: RequestContext, event_queue: EventQueue) -> None:
        updates = TaskUpdater(event_queue, context.task_id, context.context_id)
        await updates.start_work()
        await updates.add_artifact([text_part("answer: " + context.get_user_input())], name="result")
        await updates.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        self.log.write("cancel", agent=self.name, task=self.told.get(context.task_id))
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()

    async def delegate(self, told: dict, order: dict) -> str:
        wishes = {key: order[key] for key in ("skill", "scope") if key in order}
        message = Message(
            message_id=str(uuid.uuid4()),
            role=Role.user,
            parts=[text_part(json.dumps(order.get("script", {})))],
            metadata={DELEGATION: wishes} if wishes else None,
        )
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {told['grant']}"}, timeout=None) as http:
            config = ClientConfig(httpx_client=http, supported_transports=[self.transport])
            client = await ClientFactory.connect(f"{told['broker']}/agents/{order['to']}", config)
            task = None
            async for event in client.send_message(message):
                if isinstance(event, Message):
                    return event.parts[0].root.text
                task = event[0]
            if task.status.state != TaskState.completed:
                raise RuntimeError(f"{order['to']} ended {task.status.state}")
            self.log.write("child", agent=self.name, to=order["to"])
            return "".join(part.root.text for artifact in task.artifacts or [] for part in artifact.parts)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log")
    parser.add_argument("--no-streaming", action="store_true")
    parser.add_argument("--each", action="store_true", help="both JSON bindings, below /jsonrpc and /rest")
    parser.add_argument("--rest", action="store_true", help="HTTP+JSON instead of JSON-RPC")
    arguments = parser.parse_args()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", arguments.port))
    listener.listen()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    log = WireLog(arguments.log)
    if arguments.each:
        # A mounted application is asked for with a slash at its end.
        jsonrpc = application(arguments, f"{url}/jsonrpc/", TransportProtocol.jsonrpc, log)
        rest = application(arguments, f"{url}/rest", TransportProtocol.http_json, log)
        serving = Starlette(routes=[Mount("/jsonrpc", jsonrpc), Mount("/rest", rest)])
    else:
        transport = TransportProtocol.http_json if arguments.rest else TransportProtocol.jsonrpc
        serving = application(arguments, url, transport, log)
    server = uvicorn.Server(uvicorn.Config(serving, log_level="error"))
    print(f"listening on {url}", flush=True)
    asyncio.run(server.serve(sockets=[listener]))


def application(arguments: argparse.Namespace, url: str, transport: TransportProtocol, log: WireLog) -> Starlette:
    card = AgentCard(
        name=arguments.name,
        description="Does what it is told",
        version="1.0.0",
        url=url,
        preferred_transport=transport,
        capabilities=AgentCapabilities(streaming=not arguments.no_streaming),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[AgentSkill(id="work", name="Work", description="Does what it is told", tags=["test"])],
    )
    executor = Scripted(arguments.name, transport, log)
    handler = DefaultRequestHandler(executor, InMemoryTaskStore())
    of_binding = A2ARESTFastAPIApplication if transport == TransportProtocol.http_json else A2AStarletteApplication
    return of_binding(card, handler).build()


if __name__ == "__main__":
    main()
