"""`thumbnet serve` on loopback at saturation, at twice that, and over 20,000 requests.

    python benchmarks/server_load.py --export exports/photos --data photos/val

The client is aiohttp in this process, on the same cores as the server: what it takes, the server lacks. Needs aiohttp.
Writes benchmarks/results/server_load.json.
"""

import argparse
import asyncio
import itertools
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from archive_pictures import RESULTS, head, pictures_below
from thumbnet.storage import write_json

# Up to what the server takes on at a time; more would be told to come again.
CONCURRENCIES = (1, 2, 4, 8, 16, 32, 48, 64)
PICTURES = 64


@dataclass(kw_only=True)
class Answers:
    """What came back: statuses, and seconds of those that were answered with 200."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def as_dict(self, sent: int, took: float) -> dict[str, Any]:
        return {
            "sent": sent,
            "answered": dict(sorted(self.statuses.items())),
            "unanswered": sent - sum(self.statuses.values()),
            "images_per_second": self.statuses[200] / took,
            "median_ms": 1e3 * float(np.percentile(self.seconds, 50)),
            "p99_ms": 1e3 * float(np.percentile(self.seconds, 99)),
        }


class Client:
    """Sends bodies, one after another, to one path."""

    def __init__(self, session: aiohttp.ClientSession, address: str, bodies: Sequence[bytes]) -> None:
        self.session, self.address = session, address
        self.bodies = itertools.cycle(bodies)

    async def ask(self, answers: Answers) -> None:
        started = time.perf_counter()
        async with self.session.post(f"{self.address}/classify", data=next(self.bodies)) as response:
            await response.read()
            answers.statuses[response.status] += 1
            if response.status == 200:
                answers.seconds.append(time.perf_counter() - started)

    async def closed(self, concurrency: int, count: int) -> dict[str, Any]:
        """So many at a time: each sends the next one when it has its answer."""
        answers, left = Answers(), iter(range(count))

        async def one() -> None:
            for _ in left:
                await self.ask(answers)

        started = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(concurrency)))
        return {"concurrency": concurrency, **answers.as_dict(count, time.perf_counter() - started)}

    async def opened(self, rate: float, seconds: float) -> dict[str, Any]:
        """So many a second, whether or not the ones before are answered."""
        answers, sent, asking = Answers(), 0, set()
        started = time.perf_counter()
        while (now := time.perf_counter() - started) < seconds:
            while sent < now * rate:
                task = asyncio.create_task(self.ask(answers))
                asking.add(task)
                task.add_done_callback(asking.discard)
                sent += 1
            await asyncio.sleep(0.001)
        await asyncio.gather(*asking)
        return {"rate": rate, **answers.as_dict(sent, time.perf_counter() - started)}


async def saturate(client: Client, count: int, seconds: float) -> dict[str, Any]:
    await client.closed(8, count // 4)
    rows = [await client.closed(concurrency, count) for concurrency in CONCURRENCIES]
    best = max(rows, key=lambda row: row["images_per_second"])
    return {"closed": rows, "saturation": best, "twice": await client.opened(2 * best["images_per_second"], seconds)}


async def over_many(client: Client, process: int, count: int) -> dict[str, Any]:
    """Memory of the server before, and after every twentieth of the requests."""
    await client.closed(16, count // 20)
    memory = [resident_mb(process)]
    answered: Counter[int] = Counter()
    for _ in range(20):
        answered.update((await client.closed(16, count // 20))["answered"])
        memory.append(resident_mb(process))
    return {"requests": count, "answered": dict(answered), "memory_mb": memory, "growth": memory[-1] / memory[0]}


def resident_mb(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    found = re.search(r"VmRSS:\s+(\d+)", status)
    assert found
    return int(found[1]) * 1024 / 1e6


async def measure(address: str, process: int, given: argparse.Namespace) -> dict[str, Any]:
    pictures = [file.read_bytes() for file in pictures_below(given.data)[:: max(1, given.stride)][:PICTURES]]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        thumbnails = []
        for picture in pictures:
            async with session.post(f"{address}/thumbnail", data=picture) as response:
                thumbnails.append(await response.read())
        by_kind = {}
        for kind, bodies in (("thumbnails", thumbnails), ("pictures", pictures)):
            client = Client(session, address, bodies)
            size = sum(len(body) for body in bodies) / len(bodies)
            by_kind[kind] = {"bytes": size, **await saturate(client, given.requests, given.seconds)}
        many = await over_many(Client(session, address, thumbnails), process, given.many)
    return {"client": f"aiohttp {aiohttp.__version__}, same machine", "kinds": by_kind, "many": many}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--export", type=Path, required=True, help="what `thumbnet export` wrote")
    parser.add_argument("--data", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--stride", type=int, default=50, help="take every so many-th of them")
    parser.add_argument("--requests", type=int, default=1000, help="in each closed loop")
    parser.add_argument("--seconds", type=float, default=15, help="of twice the saturation")
    parser.add_argument("--many", type=int, default=20_000)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the JSON")
    given = parser.parse_args()
    command = [sys.executable, "-m", "thumbnet", "serve", str(given.export), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            found = re.search(r"http://[0-9.:]+", server.stdout.readline())
            assert found, "the server did not start"
            result = asyncio.run(measure(found[0], server.pid, given))
        finally:
            server.terminate()
    write_json(given.results / "server_load.json", {**head("server_load.py --export EXPORT --data val"), **result})


if __name__ == "__main__":
    main()
