"""An agent that signs its cards with the official SDK, and has an extended card for who knows the secret.

`GET /key.json` is its public key. `POST /serve` changes what it serves: {"public": {...}, "extended": {...}, "signed": true,
"tampered": {...}}, where `tampered` is put over the public card after it was signed.
"""

import argparse
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from a2a.types import AgentCard
from a2a.utils.signing import create_agent_card_signer
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.json_format import MessageToDict, ParseDict
from jwt.algorithms import ECAlgorithm

KID = "agent-key-1"
SECRET = "Bearer the-agents-secret"
KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = {**json.loads(ECAlgorithm.to_jwk(KEY.public_key())), "kid": KID}
serving = {"signed": True, "tampered": {}, "extended": None, "public": {}}


def card(url: str, more: dict) -> dict:
    document = {
        "name": "Größe 🙂",
        "description": "",
        "version": "1",
        "supportedInterfaces": [{"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
        "capabilities": {"extendedAgentCard": serving["extended"] is not None},
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": [],
        "skills": [{"id": "open", "name": "Öffnen", "description": "", "tags": []}],
        **more,
    }
    if not serving["signed"]:
        return document
    message = ParseDict(document, AgentCard())
    sign = create_agent_card_signer(KEY, {"kid": KID, "alg": "ES256", "jku": "http://127.0.0.1:1/nowhere", "typ": "JOSE"})
    signed = MessageToDict(sign(message))
    return {**document, "signatures": signed["signatures"]}


class Agent(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/key.json":
            return self.answer(200, PUBLIC)
        self.answer(200, {**card(self.server.url, serving["public"]), **serving["tampered"]})

    def do_POST(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/serve":
            serving.update(sent)
            return self.answer(200, {})
        if sent["method"] != "GetExtendedAgentCard":
            error = {"code": -32601, "message": "only the card"}
            return self.answer(200, {"jsonrpc": "2.0", "id": sent["id"], "error": error})
        if self.headers["Authorization"] != SECRET:
            return self.answer(401, {})
        self.answer(200, {"jsonrpc": "2.0", "id": sent["id"], "result": card(self.server.url, serving["extended"])})

    def answer(self, status: int, document: dict) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--log")
    parser.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Agent)
    server.url = f"http://127.0.0.1:{server.server_port}"
    print(f"listening on {server.url}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
