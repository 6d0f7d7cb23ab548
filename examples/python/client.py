"""An ordinary A2A client: sends a text to an agent and prints what happens. The broker looks like any agent to it."""

import asyncio
import sys

import httpx
from a2a.client import ClientConfig, create_client
from a2a.helpers.proto_helpers import get_artifact_text, new_text_message
from a2a.types import Role, SendMessageRequest, TaskState


async def main(url: str, text: str) -> int:
    """Returns 0 if the task completed."""
    http = httpx.AsyncClient(timeout=None)
    client = await create_client(url, ClientConfig(httpx_client=http))
    state = TaskState.TASK_STATE_UNSPECIFIED
    async for event in client.send_message(SendMessageRequest(message=new_text_message(text, role=Role.ROLE_USER))):
        if event.HasField("task"):
            state = event.task.status.state
        elif event.HasField("status_update"):
            state = event.status_update.status.state
            print(TaskState.Name(state), *(part.text for part in event.status_update.status.message.parts))
        elif event.HasField("artifact_update"):
            print("artifact:", get_artifact_text(event.artifact_update.artifact))
    await http.aclose()
    return 0 if state == TaskState.TASK_STATE_COMPLETED else 1


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: client.py URL TEXT")
    sys.exit(asyncio.run(main(sys.argv[1], sys.argv[2])))
