#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""``python -m tavus_sim``: a simulated Tavus, served until told to stop."""

import argparse
import asyncio
import logging
import os
import secrets
import signal
import sys

from .server import SimServer
from .simulator import Simulator
from .worker import AvatarVideo


def main() -> int:
    """Serve, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="tavus_sim", description="A local stand-in for the Tavus API."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8900, help="0: any free")
    parser.add_argument(
        "--api-key", help="accept only this key; else any, but not none"
    )
    parser.add_argument("--max-concurrent", type=_not_negative, metavar="N")
    parser.add_argument(
        "--latency-ms", type=_not_negative, default=0, metavar="N"
    )
    parser.add_argument(
        "--replica-join-ms",
        type=_not_negative,
        default=os.environ.get("TAVUS_SIM_REPLICA_JOIN_MS") or "1500",
        metavar="N",
        help="how long one waits for the face in a room; by default "
        "TAVUS_SIM_REPLICA_JOIN_MS or 1500",
    )
    parser.add_argument("--vocabulary", choices=("old", "new"), default="old")
    parser.add_argument(
        "--seed", type=int, help="of the ids; by default never the same twice"
    )
    parser.add_argument(
        "--avatars",
        action="store_true",
        help="conversations in LiveKit rooms get a real avatar",
    )
    parser.add_argument(
        "--avatar-video",
        metavar="640x360@25",
        help="its picture; by default TAVUS_SIM_AVATAR_VIDEO or 640x360@25",
    )
    options = parser.parse_args()
    logging.basicConfig(format="tavus_sim: %(message)s")
    seed = options.seed
    simulator = Simulator(
        api_key=options.api_key,
        max_concurrent=options.max_concurrent,
        latency_ms=options.latency_ms,
        replica_join_ms=options.replica_join_ms,
        vocabulary=options.vocabulary,
        # Ids that come back after a restart would look like the old ones to
        # a client that remembers what it left open.
        seed=secrets.randbits(64) if seed is None else seed,
    )
    try:
        avatars = _avatars(options) if options.avatars else None
        server = SimServer(simulator, options.host, options.port, avatars)
    except (RuntimeError, ValueError) as exc:
        print(f"tavus_sim: --avatars: {exc}", file=sys.stderr)
        return 1
    try:
        asyncio.run(_serve(server))
    except OSError as exc:
        print(f"tavus_sim: cannot listen: {exc}", file=sys.stderr)
        return 1
    return 0


async def _serve(server: SimServer) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with server:
        print(
            f"tavus_sim: listening on {server.base_url} "
            "(a simulation; nothing is billed)",
            flush=True,
        )
        await stop.wait()


def _avatars(options: argparse.Namespace) -> AvatarVideo:
    if options.avatar_video:
        return AvatarVideo.parse(options.avatar_video)
    return AvatarVideo.from_environment()


def _not_negative(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return number


if __name__ == "__main__":
    sys.exit(main())
