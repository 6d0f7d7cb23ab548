"""An unmodified SDK client: prints every event it sees as a JSON line. Modes: stream, poll, blocking."""

import argparse
import asyncio
import json
import sys
import time

import httpx
from a2a.client import ClientConfig, create_client
from a2a.helpers.proto_helpers import new_text_message
from a2a.types import GetTaskRequest, Role, SendMessageRequest, StreamResponse, TaskState
from google.protobuf.json_format import MessageToDict

POLL_SECONDS = 0.02
TERMINAL = ("COMPLETED", "FAILED", "CANCELED", "REJECTED")


def show(event: object) -> None:
    print(json.dumps({"at": time.time(), "event": MessageToDict(event)}), flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("text")
    parser.add_argument("--mode", default="stream", choices=["stream", "poll", "blocking"])
    arguments = parser.parse_args()
    async with httpx.AsyncClient(timeout=None) as http:
        config = ClientConfig(httpx_client=http, streaming=arguments.mode == "stream", polling=arguments.mode == "poll")
        client = await create_client(arguments.url, config)
        request = SendMessageRequest(message=new_text_message(arguments.text, role=Role.ROLE_USER))
        task = None
        async for event in client.send_message(request):
            show(event)
            task = event.task if event.HasField("task") else task
        while arguments.mode == "poll" and not TaskState.Name(task.status.state).endswith(TERMINAL):
            await asyncio.sleep(POLL_SECONDS)
            task = await client.get_task(GetTaskRequest(id=task.id))
            show(StreamResponse(task=task))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
