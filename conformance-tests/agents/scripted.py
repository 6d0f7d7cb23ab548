"""An agent on the official SDK that does what the message tells it: the text of a message is a JSON script.

    {"delay_ms": 50,                      work this long first
     "gate": "http://…",                  then ask for this URL, and go on when it answers
     "delegate": [{"to": "left",          then delegate, all at once, through the broker
                   "script": {...}, "skill": "work", "scope": [...],
                   "budget": {...},      and retry, escalate, mode, subtasks, quorum
                   "grpc": true,          over gRPC
                   "refused": true,       expect to be refused and go on
                   "detach": true}],      do not wait for it
     "chunks": ["a", "b"],                then make an artifact in these pieces; {agent} stands for its name
     "many": [200, 16000],                and in this many more of this many bytes each
     "pace_ms": 20,                       with this much time before each
     "echo": true,                        then make an artifact of all parts of the message but its first
     "ask": "colour?",                    then ask, and finish with the answer
     "ask_auth": "log in",                then ask for authorization, and finish with the answer
     "cost": {"usd": "0.10"},             say at the end what it cost
     "message": "hi",                     or answer with one direct message and no task
     "end": "completed"}                  completed, failed or rejected

Text that is no JSON is echoed. A broken connection to the broker is retried under the same message id.
"""

import argparse
import asyncio
import base64
import json
import logging
import socket
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import httpx
import uvicorn
from a2a.client import ClientCallContext, ClientConfig, create_client
from a2a.helpers.proto_helpers import (
    get_artifact_text,
    new_task_from_user_message,
    new_text_message,
    new_text_part,
)
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.request_handlers.grpc_handler import GrpcHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes, create_rest_routes
from a2a.server.tasks import (
    BasePushNotificationSender,
    InMemoryPushNotificationConfigStore,
    InMemoryTaskStore,
    TaskUpdater,
)
from a2a.types import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    AgentSkill,
    Role,
    SendMessageRequest,
    StreamResponse,
    TaskState,
    a2a_pb2_grpc,
)
from google.protobuf.json_format import MessageToDict
from starlette.applications import Starlette

from script import DELEGATION, read_script
from wire_log import WireLog

TERMINAL = {
    TaskState.TASK_STATE_COMPLETED,
    TaskState.TASK_STATE_FAILED,
    TaskState.TASK_STATE_CANCELED,
    TaskState.TASK_STATE_REJECTED,
}
REFUSALS = ("-31403", "-31429", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED")
WISHES = ("skill", "scope", "deadline", "budget", "retry", "escalate", "mode", "subtasks", "quorum", "accept")
RETRY_SECONDS = 0.1
RETRIES = 600


def claims(grant: str) -> dict:
    """What a grant says, unverified: the test verifies."""
    body = grant.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


class Calls:
    """Notes the headers of every call before the SDK sees it; the card may be read unnoticed."""

    def __init__(self, app: Starlette, log: WireLog) -> None:
        self.app, self.log = app, log

    async def __call__(self, scope: dict, receive: object, send: object) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            self.log.write("call", path=scope["path"], headers=headers)
        await self.app(scope, receive, send)


class GrpcCalls(grpc.aio.ServerInterceptor):
    """The same for gRPC."""

    def __init__(self, log: WireLog) -> None:
        self.log = log

    async def intercept_service(self, continuation: object, details: grpc.HandlerCallDetails) -> object:
        headers = {key: value for key, value in details.invocation_metadata if isinstance(value, str)}
        self.log.write("call", path=details.method, headers=headers)
        return await continuation(details)


class Scripted(AgentExecutor):
    """Does what messages tell it."""

    def __init__(self, name: str, log: WireLog, rejects: bool = False) -> None:
        self.name, self.log, self.rejects = name, log, rejects
        self.told: dict[str, str | None] = {}

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        message = context.message
        told = MessageToDict(message.metadata).get(DELEGATION, {})
        self.log.write(
            "received",
            agent=self.name,
            message_id=message.message_id,
            task=told.get("task"),
            told=told,
            claims=claims(told["grant"]) if "grant" in told else None,
        )
        self.told[context.task_id] = told.get("task")
        push = context.configuration and context.configuration.task_push_notification_config
        if push and push.url:
            self.log.write("hook", path=urlsplit(push.url).path, task=context.task_id)
        if context.current_task is not None:
            await self.finish_answer(context, event_queue)
            return
        script = read_script(message.parts[0].text if message.parts else "")
        if "message" in script:
            await event_queue.enqueue_event(new_text_message(script["message"], context_id=context.context_id))
            return
        await event_queue.enqueue_event(new_task_from_user_message(message))
        updates = TaskUpdater(event_queue, context.task_id, context.context_id)
        if self.rejects:
            await updates.reject(updates.new_agent_message([new_text_part("not today")]))
            return
        await updates.start_work()
        await asyncio.sleep(script.get("delay_ms", 0) / 1000)
        if "gate" in script:
            async with httpx.AsyncClient(timeout=None) as http:
                await http.get(script["gate"])
        results = await self.delegate_all(told, script.get("delegate", []))
        if "ask" in script:
            await updates.requires_input(updates.new_agent_message([new_text_part(script["ask"])]))
            return
        if "ask_auth" in script:
            await updates.requires_auth(updates.new_agent_message([new_text_part(script["ask_auth"])]))
            return
        if script.get("echo"):
            await updates.add_artifact(list(message.parts)[1:], name="echo")
        artifact_id = str(uuid.uuid4())
        count, size = script.get("many", [0, 0])
        chunks = script.get("chunks", []) + [str(number).ljust(size, ".") for number in range(count)] + results
        for index, chunk in enumerate(chunks):
            await asyncio.sleep(script.get("pace_ms", 0) / 1000)
            await updates.add_artifact(
                [new_text_part(chunk.replace("{agent}", self.name))],
                artifact_id=artifact_id,
                name="result",
                append=index > 0,
                last_chunk=index == len(chunks) - 1,
            )
        self.log.write("ended", agent=self.name, task=told.get("task"))
        if script.get("end") == "failed":
            await updates.failed(updates.new_agent_message([new_text_part("told to fail")]))
        elif script.get("end") == "rejected":
            await updates.reject(updates.new_agent_message([new_text_part("told to reject")]))
        else:
            metadata = {DELEGATION: {"cost": script["cost"]}} if "cost" in script else None
            await updates.update_status(TaskState.TASK_STATE_COMPLETED, metadata=metadata)

    async def finish_answer(self, context: RequestContext, event_queue: EventQueue) -> None:
        updates = TaskUpdater(event_queue, context.task_id, context.context_id)
        await updates.start_work()
        await updates.add_artifact([new_text_part("answer: " + context.get_user_input())], name="result")
        await updates.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        self.log.write("cancel", agent=self.name, task=self.told.get(context.task_id))
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()

    async def delegate_all(self, told: dict, orders: list[dict]) -> list[str]:
        jobs = [asyncio.create_task(self.delegate(told, order)) for order in orders]
        waited = [job for job, order in zip(jobs, orders) if not order.get("detach")]
        self.detached = [job for job in jobs if job not in waited]
        if self.detached:
            # Until the broker has it, nothing has been delegated.
            await asyncio.wait(self.detached, timeout=5)
        return [text for text in await asyncio.gather(*waited) if text]

    async def delegate(self, told: dict, order: dict) -> str:
        request = SendMessageRequest(message=new_text_message(json.dumps(order.get("script", {})), role=Role.ROLE_USER))
        wishes = {key: order[key] for key in WISHES if key in order}
        if wishes:
            request.message.metadata.update({DELEGATION: wishes})
        if order.get("detach"):
            request.configuration.return_immediately = True
        for _ in range(RETRIES):
            try:
                return await self.try_delegate(told, order, request)
            except Exception as error:  # noqa: BLE001 - whatever the SDK raises
                if any(code in str(error) for code in REFUSALS):
                    self.log.write("refused", agent=self.name, to=order["to"], error=str(error))
                    return ""
                self.log.write("retry", agent=self.name, to=order["to"], error=str(error)[:200])
                await asyncio.sleep(RETRY_SECONDS)
        raise RuntimeError("the broker did not come back")

    async def try_delegate(self, told: dict, order: dict, request: SendMessageRequest) -> str:
        headers = {"Authorization": f"Bearer {told['grant']}"}
        async with httpx.AsyncClient(headers=headers, timeout=None) as http:
            config = ClientConfig(
                httpx_client=http,
                streaming=not order.get("detach"),
                supported_protocol_bindings=["GRPC" if order.get("grpc") else "JSONRPC"],
                grpc_channel_factory=grpc.aio.insecure_channel,
            )
            client = await create_client(f"{told['broker']}/agents/{order['to']}", config)
            context = ClientCallContext(service_parameters=headers) if order.get("grpc") else None
            pieces: dict[str, str] = {}
            state = TaskState.TASK_STATE_UNSPECIFIED
            async for event in client.send_message(request, context=context):
                state = self.note(event, pieces, state, order["to"], told.get("task"))
                if order.get("detach") or order.get("mode") == "handoff":
                    return ""
            if state not in TERMINAL and not pieces.get("message"):
                raise ConnectionError("the stream ended before the task")
            return "".join(pieces.values())

    def note(self, event: StreamResponse, pieces: dict[str, str], state: int, to: str, task: str | None) -> int:
        if event.HasField("task"):
            for artifact in event.task.artifacts:
                pieces[artifact.artifact_id] = get_artifact_text(artifact, "")
            state = event.task.status.state
        elif event.HasField("artifact_update"):
            update = event.artifact_update
            before = pieces.get(update.artifact.artifact_id, "") if update.append else ""
            pieces[update.artifact.artifact_id] = before + get_artifact_text(update.artifact, "")
        elif event.HasField("status_update"):
            state = event.status_update.status.state
        else:
            pieces["message"] = event.message.parts[0].text
        status = event.task.status if event.HasField("task") else event.status_update.status
        why = "".join(part.text for part in status.message.parts)
        self.log.write("child", agent=self.name, task=task, to=to, state=TaskState.Name(state), why=why)
        return state


def grpc_port(server: grpc.aio.Server, tls: list[str] | None) -> str:
    """Opens a port; the interface as a card names it."""
    if not tls:
        return f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    cert, key = (Path(file).read_bytes() for file in tls)
    return f"https://127.0.0.1:{server.add_secure_port('127.0.0.1:0', grpc.ssl_server_credentials([(key, cert)]))}"


def card_of(card: AgentCard, interface: AgentInterface) -> list:
    """Serves the card with one interface only, below that interface's name."""
    only = AgentCard()
    only.CopyFrom(card)
    del only.supported_interfaces[:]
    only.supported_interfaces.append(interface)
    below = {"JSONRPC": "jsonrpc", "HTTP+JSON": "rest", "GRPC": "grpc"}[interface.protocol_binding]
    return create_agent_card_routes(only, card_url=f"/{below}/.well-known/agent-card.json")


def pushing(arguments: argparse.Namespace) -> dict:
    """What makes the SDK's handler push: to loopback, where the tests listen, and nowhere else."""
    if not (arguments.push or arguments.all or arguments.each):
        return {}

    async def on_loopback(url: str) -> bool:
        return httpx.URL(url).host == "127.0.0.1"

    store = InMemoryPushNotificationConfigStore()
    # It sends once: what a busy machine takes long for is not lost.
    sender = BasePushNotificationSender(httpx.AsyncClient(timeout=60), store, push_url_validator=on_loopback)
    sends = {} if arguments.lose_pushes else {"push_sender": sender}
    return {"push_config_store": store, "push_url_validator": on_loopback, **sends}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log")
    parser.add_argument("--at", metavar="URL", help="the URL in its card: of something that stands in front of it")
    parser.add_argument("--no-streaming", action="store_true")
    parser.add_argument("--push", action="store_true", help="push instead of streaming")
    parser.add_argument("--lose-pushes", action="store_true", help="send none of them")
    parser.add_argument("--rest", action="store_true", help="HTTP+JSON instead of JSON-RPC")
    parser.add_argument("--all", action="store_true", help="every binding, streaming and push")
    parser.add_argument("--each", action="store_true", help="all bindings, and a card of its own for each")
    parser.add_argument("--grpc", action="store_true", help="gRPC instead of JSON-RPC")
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"), help="with TLS, where it is gRPC")
    parser.add_argument("--offers", metavar="JSON", type=json.loads, default={}, help="what its card says it is for")
    parser.add_argument("--rejects", action="store_true", help="do nothing that it is told")
    parser.add_argument("--quiet", action="store_true", help="no word of the SDK about what callers do wrong")
    arguments = parser.parse_args()
    if arguments.quiet:
        logging.disable()
    asyncio.run(serve(arguments))


async def serve(arguments: argparse.Namespace) -> None:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", arguments.port))
    listener.listen()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    log = WireLog(arguments.log)
    calls_by_grpc = grpc.aio.server(interceptors=[GrpcCalls(log)])
    interfaces = {"HTTP+JSON" if arguments.rest else "JSONRPC": arguments.at or url}
    if arguments.all:
        interfaces = {"JSONRPC": url, "HTTP+JSON": url, "GRPC": grpc_port(calls_by_grpc, arguments.tls)}
    if arguments.each:
        interfaces = {"JSONRPC": url, "HTTP+JSON": url, "GRPC": grpc_port(calls_by_grpc, arguments.tls)}
    if arguments.grpc:
        interfaces = {"GRPC": grpc_port(calls_by_grpc, arguments.tls)}
    card = AgentCard(
        name=arguments.name,
        description=arguments.offers.get("description", "Does what it is told"),
        version="1.0.0",
        supported_interfaces=[
            AgentInterface(url=at, protocol_binding=binding, protocol_version="1.0")
            for binding, at in interfaces.items()
        ],
        capabilities=AgentCapabilities(
            streaming=not (arguments.no_streaming or arguments.push),
            push_notifications=arguments.push or arguments.all or arguments.each,
        ),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[
            AgentSkill(**{"id": "work", "name": "Work", "description": "Does what it is told", "tags": ["test"], **skill})
            for skill in arguments.offers.get("skills", [{}])
        ],
    )
    executor = Scripted(arguments.name, log, arguments.rejects)
    handler = DefaultRequestHandler(executor, InMemoryTaskStore(), card, **pushing(arguments))
    a2a_pb2_grpc.add_A2AServiceServicer_to_server(GrpcHandler(handler), calls_by_grpc)
    await calls_by_grpc.start()
    routes = create_agent_card_routes(card)
    if arguments.each:
        routes += [route for interface in card.supported_interfaces for route in card_of(card, interface)]
    if "JSONRPC" in interfaces:
        routes += create_jsonrpc_routes(handler, "/")
    if "HTTP+JSON" in interfaces:
        routes += create_rest_routes(handler)
    server = uvicorn.Server(uvicorn.Config(Calls(Starlette(routes=routes), log), log_level="error"))
    print(f"listening on {url}", flush=True)
    await server.serve(sockets=[listener])


if __name__ == "__main__":
    main()
