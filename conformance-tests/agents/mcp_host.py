"""The official MCP client, unmodified: does one thing at an MCP server and prints what it sees, a JSON line each."""

import argparse
import asyncio
import json
import sys

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client


def say(**what) -> None:
    print(json.dumps(what), flush=True)


def plain(model) -> dict:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


async def progressed(progress: float, total: float | None, message: str | None) -> None:
    say(progress=progress, message=message)


async def list_all(client: Client) -> None:
    cursor, pages = None, 0
    while True:
        page = await client.list_tools(cursor=cursor)
        pages += 1
        for tool in page.tools:
            say(tool=plain(tool))
        cursor = page.next_cursor
        if cursor is None:
            return say(pages=pages)


async def call(client: Client, name: str, arguments: dict, meta: dict | None, progress: bool) -> None:
    try:
        result = await client.call_tool(
            name, arguments, meta=meta, progress_callback=progressed if progress else None
        )
        say(result=plain(result))
    except MCPError as error:
        say(error={"code": error.error.code, "message": error.error.message})


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("tool", nargs="?")
    parser.add_argument("arguments", nargs="?", default="{}")
    parser.add_argument("--key")
    parser.add_argument("--mode", default="auto")
    parser.add_argument("--meta")
    parser.add_argument("--quiet", action="store_true", help="do not ask for progress")
    parser.add_argument("--give-up", action="store_true", help="cancel the call at a line on standard input")
    given = parser.parse_args()
    headers = {"Authorization": f"Bearer {given.key}"} if given.key else {}
    async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
        async with Client(streamable_http_client(given.url, http_client=http), mode=given.mode) as client:
            if given.tool is None:
                return await list_all(client)
            meta = json.loads(given.meta) if given.meta else None
            calling = call(client, given.tool, json.loads(given.arguments), meta, not given.quiet)
            if not given.give_up:
                return await calling
            task = asyncio.create_task(calling)
            await asyncio.to_thread(sys.stdin.readline)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                say(given_up=True)


asyncio.run(main())
