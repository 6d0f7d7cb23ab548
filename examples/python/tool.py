"""A tool that asks for a grant: plain HTTP, no framework, no word with the broker but for its keys.

    venv/bin/python examples/python/tool.py --issuer http://127.0.0.1:8420 --port 9200

`GET /search?limit=5&region=eu` needs `mcp:tool/search`, `GET /read?path=/docs/a` needs `mcp:tool/read`, each with
arguments the grant admits; `calls` is how often the task has called so far.
"""

import argparse
import json
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit
from urllib.request import urlopen

from grants import Refused, admits, verify

# What each argument is; others of a request mean nothing to the tool.
ARGUMENTS = {"limit": int, "region": str, "path": list}
KEYS_KEPT_SECONDS = 300


class Tool(BaseHTTPRequestHandler):
    """Does what the grant admits."""

    protocol_version = "HTTP/1.1"
    calls: Counter = Counter()  # per task; a real tool would forget old ones

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        credentials = self.headers.get_all("Authorization", [])
        scheme, _, token = credentials[0].partition(" ") if credentials else ("", "", "")
        if len(credentials) > 1:
            return self.refuse(400, "invalid_request", "expected one Authorization header")
        if scheme.lower() != "bearer":
            return self.refuse(401, "", "send Authorization: Bearer GRANT")
        try:
            claims = verify(token, keys(), options.issuer, audience)
        except Refused as refused:
            return self.refuse(401, "invalid_token", str(refused))
        name = unquote(url.path.removeprefix("/"))
        try:
            arguments = read_arguments(url.query)
        except ValueError as wrong:
            return self.refuse(400, "invalid_request", str(wrong))
        self.calls[claims["task"]] += 1
        if not admits(claims, "mcp:tool", [name], arguments | {"calls": self.calls[claims["task"]]}):
            return self.refuse(403, "insufficient_scope", f"the grant does not admit mcp:tool/{name} with these arguments")
        if name not in ("search", "read"):
            return self.answer(404, {"error": "there is no such tool"})
        self.answer(200, {"tool": name, "for": claims["client_id"]})

    def refuse(self, status: int, error: str, why: str) -> None:
        why = why.translate({ord('"'): "'", ord("\\"): "'"}).encode("ascii", "replace").decode()
        why = "".join(c if c.isprintable() else "?" for c in why)
        challenge = f'Bearer realm="{audience}"' + (f', error="{error}", error_description="{why}"' if error else "")
        self.answer(status, {"error": error or "invalid_token", "error_description": why}, challenge)

    def answer(self, status: int, body: dict, challenge: str | None = None) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_) -> None:
        """Nothing: a log of URLs is a log of arguments."""


def read_arguments(query: str) -> dict:
    """The arguments the tool knows, each once and of its type."""
    arguments: dict = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name not in ARGUMENTS:
            continue
        if name in arguments:
            raise ValueError(f"{name}: expected once")
        if ARGUMENTS[name] is int and not (text.isascii() and text.isdigit() and int(text) < 2**64):
            raise ValueError(f"{name}: expected an integer")
        arguments[name] = text.removeprefix("/").split("/") if ARGUMENTS[name] is list else ARGUMENTS[name](text)
    return arguments


def keys() -> dict:
    """The broker's keys, fetched anew every five minutes: a key is published ten minutes before it signs."""
    if time.monotonic() >= kept["until"]:
        source = options.jwks or f"{options.issuer}/.well-known/jwks.json"
        text = urlopen(source, timeout=5).read() if "://" in source else Path(source).read_bytes()
        kept.update(jwks=json.loads(text), until=time.monotonic() + KEYS_KEPT_SECONDS)
    return kept["jwks"]


parser = argparse.ArgumentParser()
parser.add_argument("--issuer", required=True, help="the broker's public URL")
parser.add_argument("--jwks", help="URL or file of the broker's keys; the broker's own if left out")
parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
options = parser.parse_args()
kept: dict = {"jwks": {"keys": []}, "until": 0.0}

server = ThreadingHTTPServer(("127.0.0.1", options.port), Tool)
audience = f"http://127.0.0.1:{server.server_port}"
print(f"listening on {audience}", flush=True)
server.serve_forever()
