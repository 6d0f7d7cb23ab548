"""An unmodified SDK client over gRPC that takes steps, a JSON list, and prints what came of each as a JSON line.

    {"sdk": "get_task", "request": {...}}     by the SDK's client, its transport chosen from the card
    {"stub": "GetTask", "request": {...},     by the generated stub, for what the SDK hides: metadata, deadlines,
     "metadata": {...}, "timeout": 1,         trailers
     "first": 1}                              hang up after so many events

Requests are ProtoJSON; "$task" in them is the task last seen. A result has "events", or "error" with what the trailers
said. A step with "begin": "x" goes on beside the next ones from its first event on; {"end": "x"} waits for it.
"""

import argparse
import asyncio
import json
import ssl
import sys

import grpc
import httpx
from a2a import types
from a2a.client import ClientConfig, create_client
from a2a.types import a2a_pb2_grpc
from a2a.utils.grpc_status import status_from_call
from google.protobuf.json_format import MessageToDict, ParseDict
from google.rpc import error_details_pb2

REQUESTS = {
    "send_message": types.SendMessageRequest,
    "get_task": types.GetTaskRequest,
    "list_tasks": types.ListTasksRequest,
    "cancel_task": types.CancelTaskRequest,
    "subscribe": types.SubscribeToTaskRequest,
}
STUBS = {
    "SendMessage": types.SendMessageRequest,
    "SendStreamingMessage": types.SendMessageRequest,
    "GetTask": types.GetTaskRequest,
    "ListTasks": types.ListTasksRequest,
    "CancelTask": types.CancelTaskRequest,
    "SubscribeToTask": types.SubscribeToTaskRequest,
    "GetExtendedAgentCard": types.GetExtendedAgentCardRequest,
    "GetTaskPushNotificationConfig": types.GetTaskPushNotificationConfigRequest,
}
DETAILS = (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo)


def error_of(error: grpc.aio.AioRpcError) -> dict:
    status = status_from_call(error)
    details = []
    for packed in status.details if status else []:
        for kind in DETAILS:
            if packed.Is(kind.DESCRIPTOR):
                detail = kind()
                packed.Unpack(detail)
                details.append({"type": kind.DESCRIPTOR.name, **MessageToDict(detail)})
    return {"code": error.code().name, "message": error.details(), "details": details}


class Probe:
    def __init__(self, client: object, channel: grpc.aio.Channel) -> None:
        self.client, self.stub, self.task = client, a2a_pb2_grpc.A2AServiceStub(channel), ""
        self.running: dict[str, asyncio.Task] = {}

    async def take(self, step: dict) -> dict:
        if "end" in step:
            return await self.running.pop(step["end"])
        if "begin" not in step:
            return await self.call(step)
        seen = asyncio.Event()
        self.running[step["begin"]] = asyncio.create_task(self.call(step, seen))
        await seen.wait()
        return {"begun": step["begin"]}

    async def call(self, step: dict, seen: asyncio.Event | None = None) -> dict:
        events: list[dict] = []
        try:
            answers = self.by_sdk(step) if "sdk" in step else self.by_stub(step)
            async for answer in answers:
                events.append(self.note(answer))
                if seen:
                    seen.set()
                if len(events) == step.get("first"):
                    break
        except grpc.aio.AioRpcError as error:
            return {"events": events, "error": error_of(error)}
        except Exception as error:  # noqa: BLE001 - the SDK's own errors
            return {"events": events, "error": {"class": type(error).__name__, "message": str(error)}}
        finally:
            if seen:
                seen.set()
        return {"events": events}

    def request(self, step: dict, kind: type) -> object:
        text = json.dumps(step.get("request", {})).replace("$task", self.task)
        return ParseDict(json.loads(text), kind())

    def note(self, answer: object) -> dict:
        event = MessageToDict(answer)
        self.task = event.get("task", {}).get("id") or self.task
        return event

    async def by_sdk(self, step: dict) -> object:
        answer = getattr(self.client, step["sdk"])(self.request(step, REQUESTS[step["sdk"]]))
        if hasattr(answer, "__aiter__"):
            async for event in answer:
                yield event
        else:
            yield await answer

    async def by_stub(self, step: dict) -> object:
        metadata = list({"a2a-version": "1.0", **step.get("metadata", {})}.items())
        method = getattr(self.stub, step["stub"])
        answer = method(self.request(step, STUBS[step["stub"]]), metadata=metadata, timeout=step.get("timeout"))
        if hasattr(answer, "read"):
            async for event in answer:
                yield event
        else:
            yield await answer


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("steps")
    parser.add_argument("--ca", help="trust this certificate and use TLS")
    arguments = parser.parse_args()

    def channel(target: str) -> grpc.aio.Channel:
        if not arguments.ca:
            return grpc.aio.insecure_channel(target)
        with open(arguments.ca, "rb") as file:
            return grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(file.read()))

    async with httpx.AsyncClient(timeout=None, verify=ssl.create_default_context(cafile=arguments.ca)) as http:
        config = ClientConfig(
            httpx_client=http, streaming=True, supported_protocol_bindings=["GRPC"], grpc_channel_factory=channel
        )
        client = await create_client(arguments.url, config)
        probe = Probe(client, channel(httpx.URL(arguments.url).netloc.decode()))
        for step in json.loads(arguments.steps):
            print(json.dumps(await probe.take(step)), flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
