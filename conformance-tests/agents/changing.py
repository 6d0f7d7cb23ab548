"""An agent whose card and manners are read from files at every request, so that a test can change both under a running
broker. Plain `http.server`, no SDK: the card's bytes and caching headers are the test's.

In its folder: `card.json`, in which `{url}` stands for where it listens, and `manners.txt`:
`work` finishes a task at once, `linger` leaves it open, `stuck` too and will not cancel, `talk` answers with a message,
`refuse`, `fail`, `babble` (no A2A), `hang` (no answer), `drop` (no answer, and the connection closed).
"""

import argparse
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from wire_log import WireLog


def task(state: str) -> dict:
    return {"id": "t1", "contextId": "c1", "status": {"state": f"TASK_STATE_{state}"}}


class Changing(BaseHTTPRequestHandler):
    """Serves one request after another."""

    protocol_version = "HTTP/1.1"
    folder: Path
    log: WireLog
    cache: str
    url: str

    def do_GET(self) -> None:
        card = (self.folder / "card.json").read_text(encoding="utf-8").replace("{url}", self.url).encode()
        tag = f'"{hashlib.sha256(card).hexdigest()[:16]}"'
        known = self.headers.get("If-None-Match") == tag
        self.log.write("card", status=304 if known else 200)
        self.answer(304 if known else 200, b"" if known else card, {"ETag": tag, "Cache-Control": self.cache})

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        manners = (self.folder / "manners.txt").read_text(encoding="utf-8").strip()
        message = request["params"].get("message", {})
        self.log.write(
            "call",
            method=request["method"],
            message=message,
            extensions=self.headers.get("A2A-Extensions"),
        )
        if request["method"] == "CancelTask":
            self.result(request, task("WORKING" if manners == "stuck" else "CANCELED"))
        elif request["method"] == "ListTasks":
            self.result(request, {"tasks": [], "nextPageToken": ""})
        elif request["method"] == "GetTask":
            self.result(request, task("WORKING"))
        else:
            getattr(self, manners)(request)

    def work(self, request: dict) -> None:
        self.result(request, {"task": task("COMPLETED")})

    def linger(self, request: dict) -> None:
        self.result(request, {"task": task("WORKING")})

    stuck = linger

    def talk(self, request: dict) -> None:
        self.result(request, {"message": {"messageId": "m1", "role": "ROLE_AGENT", "parts": [{"text": "pong"}]}})

    def refuse(self, request: dict) -> None:
        self.error(request, -32005, "only music, please")

    def fail(self, request: dict) -> None:
        self.error(request, -32603, "out of order")

    def babble(self, request: dict) -> None:
        self.answer(200, b"<h1>hello</h1>", {"Content-Type": "text/html"})

    def hang(self, request: dict) -> None:
        threading.Event().wait(600)

    def drop(self, request: dict) -> None:
        self.close_connection = True

    def result(self, request: dict, result: dict) -> None:
        self.json({"jsonrpc": "2.0", "id": request["id"], "result": result})

    def error(self, request: dict, code: int, message: str) -> None:
        self.json({"jsonrpc": "2.0", "id": request["id"], "error": {"code": code, "message": message}})

    def json(self, document: dict) -> None:
        self.answer(200, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def answer(self, status: int, body: bytes, headers: dict) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--cache", default="max-age=0")
    parser.add_argument("--log")
    arguments = parser.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Changing)
    Changing.folder, Changing.cache = arguments.folder, arguments.cache
    Changing.log = WireLog(arguments.log)
    Changing.url = f"http://127.0.0.1:{server.server_address[1]}"
    print(f"listening on {Changing.url}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
