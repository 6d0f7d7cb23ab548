"""Plays rounds with an agent as an unmodified client of A2A 0.3; see `rounds.py` for what is printed."""

import argparse
import asyncio
import json
import sys
import uuid

import httpx
from a2a.client import Client, ClientConfig, ClientFactory
from a2a.client.errors import A2AClientHTTPError, A2AClientJSONRPCError
from a2a.types import Message, Part, Role, Task, TaskIdParams, TaskQueryParams, TextPart, TransportProtocol

POLL_SECONDS = 0.05
TERMINAL = ("completed", "failed", "canceled", "rejected")


def message(text: str, task: Task | None = None) -> Message:
    return Message(
        message_id=str(uuid.uuid4()),
        role=Role.user,
        parts=[Part(root=TextPart(text=text))],
        task_id=task.id if task else None,
        context_id=task.context_id if task else None,
    )


def text_of(task: Task) -> str:
    return "".join(part.root.text for artifact in task.artifacts or [] for part in artifact.parts)


class Rounds:
    """One method per round; each answers (states, text)."""

    def __init__(self, connect: object, arguments: argparse.Namespace) -> None:
        self.connect, self.arguments = connect, arguments

    async def hear(self, client: Client, sent: Message) -> tuple[list[str], Task | Message]:
        states, last = [], None
        async for event in client.send_message(sent):
            last = event if isinstance(event, Message) else event[0]
            if isinstance(last, Task):
                states.append(last.status.state.value)
        return states, last

    async def send(self) -> tuple[list[str], str]:
        client = await self.connect(streaming=False)
        states, task = await self.hear(client, message(self.arguments.script))
        return states, text_of(task)

    async def stream(self) -> tuple[list[str], str]:
        states, task = await self.hear(await self.connect(), message(self.arguments.script))
        return states, text_of(task)

    async def poll(self) -> tuple[list[str], str]:
        client = await self.connect(streaming=False, polling=True)
        states, task = await self.hear(client, message(self.arguments.slow))
        while task.status.state.value not in TERMINAL:
            await asyncio.sleep(POLL_SECONDS)
            task = await client.get_task(TaskQueryParams(id=task.id))
            states.append(task.status.state.value)
        return states, text_of(task)

    async def subscribe(self) -> tuple[list[str], str]:
        polling = await self.connect(streaming=False, polling=True)
        states, task = await self.hear(polling, message(self.arguments.slow))
        async for event in (await self.connect()).resubscribe(TaskIdParams(id=task.id)):
            task = event[0]
            states.append(task.status.state.value)
        return states, text_of(task)

    async def cancel(self) -> tuple[list[str], str]:
        polling = await self.connect(streaming=False, polling=True)
        states, task = await self.hear(polling, message(self.arguments.endless))
        # The agent has to have it before it can be told to stop.
        while task.status.state.value == "submitted":
            await asyncio.sleep(POLL_SECONDS)
            task = await polling.get_task(TaskQueryParams(id=task.id))
        canceled = await polling.cancel_task(TaskIdParams(id=task.id))
        return states + [canceled.status.state.value], ""

    async def ask(self) -> tuple[list[str], str]:
        client = await self.connect()
        asked, task = await self.hear(client, message(self.arguments.asking))
        question = task.status.message.parts[0].root.text
        answered, task = await self.hear(client, message("blue", task))
        return asked[-1:] + answered[-1:], question + text_of(task)

    async def direct(self) -> tuple[list[str], str]:
        _, answer = await self.hear(await self.connect(), message(json.dumps({"message": "hello"})))
        return [answer.kind], answer.parts[0].root.text

    async def unknown(self) -> tuple[list[str], str]:
        try:
            await (await self.connect()).get_task(TaskQueryParams(id="nobody"))
        except A2AClientJSONRPCError as error:
            return [str(error.error.code)], error.error.message
        except A2AClientHTTPError as error:
            return [str(error.status_code)], "Task not found"
        return [], "no error"


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--rest", action="store_true")
    for name in ("rounds", "script", "slow", "endless", "asking"):
        parser.add_argument(f"--{name}", required=True)
    arguments = parser.parse_args()
    transport = TransportProtocol.http_json if arguments.rest else TransportProtocol.jsonrpc
    async with httpx.AsyncClient(timeout=None) as http:

        async def connect(streaming: bool = True, polling: bool = False) -> Client:
            config = ClientConfig(
                httpx_client=http, streaming=streaming, polling=polling, supported_transports=[transport]
            )
            return await ClientFactory.connect(arguments.url, config)

        rounds = Rounds(connect, arguments)
        for name in arguments.rounds.split(","):
            states, text = await getattr(rounds, name)()
            print(json.dumps({"round": name, "states": states, "text": text}), flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
