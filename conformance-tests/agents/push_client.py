"""An unmodified SDK client that registers push notifications: with its message, and by each of the four operations.

Prints what the operations answered as one JSON object.
"""

import argparse
import asyncio
import json
import sys

import httpx
from a2a.client import ClientConfig, create_client
from a2a.helpers.proto_helpers import new_text_message
from a2a.types import (
    AuthenticationInfo,
    DeleteTaskPushNotificationConfigRequest,
    GetTaskPushNotificationConfigRequest,
    ListTaskPushNotificationConfigsRequest,
    Role,
    SendMessageRequest,
    TaskPushNotificationConfig,
)
from google.protobuf.json_format import MessageToDict


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("text")
    parser.add_argument("receiver")
    parser.add_argument("--binding", default="JSONRPC")
    arguments = parser.parse_args()
    first = TaskPushNotificationConfig(
        url=arguments.receiver + "/first",
        token="tok",
        authentication=AuthenticationInfo(scheme="Bearer", credentials="cred"),
    )
    async with httpx.AsyncClient(timeout=None) as http:
        config = ClientConfig(
            httpx_client=http,
            streaming=False,
            polling=True,
            push_notification_config=first,
            supported_protocol_bindings=[arguments.binding],
        )
        client = await create_client(arguments.url, config)
        request = SendMessageRequest(message=new_text_message(arguments.text, role=Role.ROLE_USER))
        async for event in client.send_message(request):
            task = event.task
        second = TaskPushNotificationConfig(task_id=task.id, id="second", url=arguments.receiver + "/second")
        made = await client.create_task_push_notification_config(second)
        got = await client.get_task_push_notification_config(
            GetTaskPushNotificationConfigRequest(task_id=task.id, id="second")
        )
        listed = await client.list_task_push_notification_configs(
            ListTaskPushNotificationConfigsRequest(task_id=task.id)
        )
        await client.delete_task_push_notification_config(
            DeleteTaskPushNotificationConfigRequest(task_id=task.id, id="second")
        )
        left = await client.list_task_push_notification_configs(
            ListTaskPushNotificationConfigsRequest(task_id=task.id)
        )
    seen = {"task": task, "made": made, "got": got, "listed": listed, "left": left}
    print(json.dumps({name: MessageToDict(value) for name, value in seen.items()}))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
