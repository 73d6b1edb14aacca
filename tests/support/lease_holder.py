#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A process that takes places under the cap: URL, cap, how many it asks for.

It asks for all of them at once when it reads "go", says how many it got, and
holds them until its input ends; then it stops as a server does.
"""

import asyncio
import sys

from ten_packages.extension.tavus_http_python.leases import Leases
from ten_packages.extension.tavus_http_python.redis_store import connect


async def main(url: str, cap: int, count: int) -> None:
    redis = connect(url)
    assert redis is not None
    async with redis:
        leases = Leases(cap, redis)
        await leases.start()
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        answers = await asyncio.gather(
            *(leases.reserve() for _ in range(count))
        )
        print(count - answers.count(None), flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await leases.stop()


asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
