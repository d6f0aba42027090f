"""The yardstick: what anyone writes in an afternoon with httpx. It parses, downloads, hashes and stores.

    python plain_loop.py BASE_URL FOLDER NUMBER CONCURRENCY

No ledger, no retries, no checks: it says what the wire alone costs. One JSON line at the end.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import resource
import sys
import time
from pathlib import Path

import httpx
from httpx_sse import aconnect_sse

MARK = "]("


async def one(
    generations: httpx.AsyncClient, downloads: httpx.AsyncClient, out: Path, idx: int
) -> tuple[float, float]:
    """One generation; when its stream began and ended."""
    body = {"model": "sora-2", "messages": [{"role": "user", "content": f"prompt {idx}"}], "seed": idx}
    said = ""
    started = time.monotonic()
    async with aconnect_sse(generations, "POST", "chat/completions", json={**body, "stream": True}) as events:
        async for event in events.aiter_sse():
            if event.data == "[DONE]":
                break
            for choice in json.loads(event.data)["choices"]:
                said += choice["delta"].get("content") or ""
    ended = time.monotonic()
    url = said.partition(MARK)[2].partition(")")[0]
    digest, part = hashlib.sha256(), out / f"{idx}.part"
    async with downloads.stream("GET", url) as response:
        with part.open("wb") as file:
            async for chunk in response.aiter_bytes():
                digest.update(chunk)
                file.write(chunk)
    part.replace(out / f"{digest.hexdigest()}.mp4")
    return started, ended


async def main(base_url: str, out: Path, number: int, concurrency: int) -> None:
    """`number` generations, `concurrency` at a time."""
    todo = iter(range(number))
    streams: list[tuple[float, float]] = []
    fresh = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with (
        httpx.AsyncClient(base_url=base_url, limits=fresh, timeout=600, trust_env=False) as generations,
        httpx.AsyncClient(timeout=600, trust_env=False) as downloads,
    ):

        async def work() -> None:
            for idx in todo:
                streams.append(await one(generations, downloads, out, idx))

        await asyncio.gather(*(work() for _ in range(concurrency)))
    used = resource.getrusage(resource.RUSAGE_SELF)
    span_s = max(ended for _, ended in streams) - min(started for started, _ in streams)
    busy = sum(ended - started for started, ended in streams) / (span_s * concurrency)
    print(json.dumps({"cpu_s": used.ru_utime + used.ru_stime, "slots_busy": busy}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
