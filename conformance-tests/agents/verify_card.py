"""Reads a card with the unmodified official SDK, which verifies its signature by the key that it names at the address that
it names; with --key also the extended card, the same way. Prints what it saw as JSON, or why there is nothing to see."""

import argparse
import asyncio
import json
import sys
import urllib.request

import httpx
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.types import GetExtendedAgentCardRequest
from a2a.utils.signing import SignatureVerificationError, create_signature_verifier
from jwt import PyJWK
from jwt.exceptions import PyJWKError

used = []


def key_at(kid: str | None, jku: str | None) -> PyJWK:
    keys = json.load(urllib.request.urlopen(jku))["keys"]
    found = [key for key in keys if key["kid"] == kid]
    if not found:
        raise PyJWKError(f"no key {kid} at {jku}")
    used.append([kid, jku])
    return PyJWK(found[0])


def shown(card: object) -> dict:
    return {"name": card.name, "skills": [skill.id for skill in card.skills], "signatures": len(card.signatures)}


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--key")
    parser.add_argument("--binding", default="JSONRPC")
    arguments = parser.parse_args()
    verify = create_signature_verifier(key_at, ["ES256", "EdDSA"])
    headers = {"Authorization": f"Bearer {arguments.key}"} if arguments.key else {}
    async with httpx.AsyncClient(headers=headers) as http:
        try:
            card = await A2ACardResolver(http, arguments.url).get_agent_card(signature_verifier=verify)
            seen = {"public": shown(card)}
            if arguments.key:
                config = ClientConfig(httpx_client=http, supported_protocol_bindings=[arguments.binding])
                client = ClientFactory(config).create(card)
                extended = await client.get_extended_agent_card(GetExtendedAgentCardRequest(), signature_verifier=verify)
                seen["extended"] = shown(extended)
        except SignatureVerificationError as problem:
            seen = {"refused": str(problem)}
    print(json.dumps({**seen, "used": used[-1] if used else None}))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
