"""An agent that breaks the protocol in one named way. Plain asyncio, no SDK: an SDK would not let it."""

import argparse
import asyncio
import json

ARTIFACT = {"artifactId": "a1", "parts": [{"text": "late but done"}]}


def task(state: str, **members: object) -> dict:
    return {"id": "t1", "contextId": "c1", "status": {"state": f"TASK_STATE_{state}"}, **members}


def status(state: str) -> dict:
    return {"statusUpdate": {"taskId": "t1", "contextId": "c1", "status": {"state": f"TASK_STATE_{state}"}}}


def old_artifact(pieces: list[str]) -> dict:
    return {"artifactId": "a1", "parts": [{"kind": "text", "text": piece} for piece in pieces]}


def old_piece(piece: str, append: bool) -> dict:
    return {"kind": "artifact-update", "taskId": "t1", "contextId": "c1", "append": append, "artifact": old_artifact([piece])}


def old_task(state: str, pieces: list[str] = []) -> dict:
    artifacts = [old_artifact(pieces)] if pieces else []
    return {"kind": "task", "id": "t1", "contextId": "c1", "status": {"state": state}, "artifacts": artifacts}


OLD = ("message/stream", "tasks/get", "tasks/resubscribe")
WORKING = [{"task": task("SUBMITTED")}, status("WORKING")]


class Misbehaving:
    """Serves one connection after another."""

    def __init__(self, mode: str) -> None:
        self.mode, self.url, self.asked = mode, "", 0

    def card(self) -> dict:
        spoken = (
            {"protocolVersion": "0.3.0", "url": self.url, "preferredTransport": "JSONRPC"}
            if self.mode == "speak-between"
            else {"supportedInterfaces": [{"url": self.url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}]}
        )
        return {
            "name": self.mode,
            "description": "Misbehaves",
            "version": "1",
            **spoken,
            "capabilities": {"streaming": True},
            "defaultInputModes": ["text/plain"],
            "defaultOutputModes": ["text/plain"],
            "skills": [{"id": "work", "name": "Work", "description": "No", "tags": ["test"]}],
        }

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next((int(line[15:]) for line in head.lower().split("\r\n") if line.startswith("content-length:")), 0)
            body = await reader.readexactly(length)
            if head.startswith("GET"):
                self.json(writer, self.card())
            else:
                await self.call(writer, json.loads(body))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def call(self, writer: asyncio.StreamWriter, request: dict) -> None:
        method, number = request["method"], request["id"]
        if method == "GetTask":
            self.asked += 1
            artifacts = {"artifacts": [ARTIFACT]} if self.mode == "close-mid-stream" else {}
            if self.mode == "say-twice":
                artifacts = {"artifacts": [self.whole()]}
            is_over = self.mode != "say-twice" or self.asked > 1
            self.result(writer, number, task("COMPLETED" if is_over else "WORKING", **artifacts))
        elif method == "CancelTask":
            self.result(writer, number, task("CANCELED"))
        elif method in OLD:
            await self.speak_between(writer, number, method)
        elif method == "SubscribeToTask":
            piece = {"artifactUpdate": {"taskId": "t1", "contextId": "c1", "append": True, "artifact": {"artifactId": "a1", "parts": [{"text": "!"}]}}}
            await self.stream(writer, number, [{"task": task("WORKING", artifacts=[self.whole()])}, piece, status("COMPLETED")])
        elif method == "SendStreamingMessage":
            await getattr(self, self.mode.replace("-", "_"))(writer, number)
        else:
            self.error(writer, number, -32601, "Method not found")

    def whole(self) -> dict:
        return {"artifactId": "a1", "parts": [{"text": "late but done"}, {"text": "!"}]}

    async def say_twice(self, writer: asyncio.StreamWriter, number: int) -> None:
        """As an SDK does: a subscription whose task has a piece already that follows once more."""
        await self.stream(writer, number, WORKING)

    async def garbage(self, writer: asyncio.StreamWriter, number: int) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 14\r\n\r\n<h1>hello</h1>")

    async def http500(self, writer: asyncio.StreamWriter, number: int) -> None:
        writer.write(b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 5\r\n\r\noops!")

    async def refuse(self, writer: asyncio.StreamWriter, number: int) -> None:
        self.error(writer, number, -32005, "only music, please")

    async def wrong_types(self, writer: asyncio.StreamWriter, number: int) -> None:
        await self.stream(writer, number, [{"task": {"id": 7, "status": "fine"}}])

    async def hang(self, writer: asyncio.StreamWriter, number: int) -> None:
        await self.stream(writer, number, WORKING)
        await asyncio.sleep(600)

    async def close_mid_stream(self, writer: asyncio.StreamWriter, number: int) -> None:
        await self.stream(writer, number, WORKING)
        writer.write(b'data: {"jsonrpc": "2.0", "id":')

    async def second_terminal(self, writer: asyncio.StreamWriter, number: int) -> None:
        await self.stream(writer, number, [*WORKING, status("COMPLETED"), status("FAILED")])

    async def huge_event(self, writer: asyncio.StreamWriter, number: int) -> None:
        event = {"artifactUpdate": {"taskId": "t1", "contextId": "c1", "artifact": {**ARTIFACT, "parts": [{"text": "x" * (2 << 20)}]}}}
        await self.stream(writer, number, [*WORKING, event])

    async def speak_between(self, writer: asyncio.StreamWriter, number: int, method: str) -> None:
        """Breaks no rule: A2A 0.3 lets a stream that is taken up again go on from where the agent is by then, and this
        one says its second piece after it was asked for the task and before it is subscribed to."""
        if method == "message/stream":
            begun = old_task("working") | {"status": {"state": "submitted"}}
            await self.stream(writer, number, [begun, old_piece("one ", append=False)])
        elif method == "tasks/resubscribe":
            end = {"kind": "status-update", "taskId": "t1", "contextId": "c1", "final": True, "status": {"state": "completed"}}
            await self.stream(writer, number, [old_piece("three", append=True), end])
        else:
            self.asked += 1
            pieces = ["one "] if self.asked == 1 else ["one ", "two ", "three"]
            self.result(writer, number, old_task("working" if self.asked == 1 else "completed", pieces))

    async def stream(self, writer: asyncio.StreamWriter, number: int, events: list[dict]) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for event in events:
            data = json.dumps({"jsonrpc": "2.0", "id": number, "result": event})
            writer.write(f"data: {data}\n\n".encode())
            await writer.drain()

    def result(self, writer: asyncio.StreamWriter, number: int, result: dict) -> None:
        self.json(writer, {"jsonrpc": "2.0", "id": number, "result": result})

    def error(self, writer: asyncio.StreamWriter, number: int, code: int, message: str) -> None:
        self.json(writer, {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}})

    def json(self, writer: asyncio.StreamWriter, document: dict) -> None:
        body = json.dumps(document).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        writer.write(head.encode() + body)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", required=True)
    parser.add_argument("--name")
    parser.add_argument("--log")
    agent = Misbehaving(parser.parse_args().mode)
    server = await asyncio.start_server(agent.serve, "127.0.0.1", 0)
    agent.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    print(f"listening on {agent.url}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
