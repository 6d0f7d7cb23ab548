"""A host of the Model Context Protocol with the broker's agents as its tools, on the official SDK (`mcp`).

    python mcp_host.py http://127.0.0.1:8420/mcp                                   lists the tools
    python mcp_host.py http://127.0.0.1:8420/mcp writer__draft 'a page on the sea'  calls one

A credential, where the broker asks for one, stands in BAILIWICK_KEY.
"""

import asyncio
import os
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


async def show_progress(progress: float, total: float | None, message: str | None) -> None:
    print(f"… {message}")


async def main(url: str, tool: str | None = None, message: str = "") -> None:
    key = os.environ.get("BAILIWICK_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    # Agents may take their time.
    async with httpx2.AsyncClient(headers=headers, timeout=httpx2.Timeout(30, read=None)) as http:
        async with Client(streamable_http_client(url, http_client=http)) as client:
            if tool is None:
                for offered in (await client.list_tools()).tools:
                    print(f"{offered.name}: {offered.title}")
                return
            result = await client.call_tool(tool, {"message": message}, progress_callback=show_progress)
            for block in result.content:
                print(getattr(block, "text", block.type))
            if result.is_error:
                sys.exit(1)


asyncio.run(main(*sys.argv[1:]))
