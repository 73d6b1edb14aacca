#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The rooms of this worker: each has a graph, and each ends.

One task per room drives it from its start to its end, so nothing that happens
in between can leave a graph behind.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from .answers import Refusal
from .graph import GraphError
from .leases import Lease, Leases
from .room_graphs import RoomGraphs, RoomTemplate

_REMEMBERED = 1000
# TEN's server kills a worker after 2 s.
_STOP_S = 1.2
# How long a graph may take to stop before it is told so again.
_GRAPH_STOPS_S = 5.0
_FIRST_RETRY_S = 0.5
_LAST_RETRY_S = 30.0


class Control(Protocol):
    """What rooms need of the LiveKit server: see ``LiveKitControl``."""

    def token(self, room_name: str, user_id: str, *, camera: bool) -> str:
        """A user's key to a room."""
        ...

    async def users(self, room_name: str) -> int:
        """How many users are in a room."""
        ...

    async def delete(self, room_name: str) -> None:
        """Ends a room for all who are in it."""

    async def close(self) -> None:
        """Closes the connections."""


class Unavailable(Exception):
    """The LiveKit server cannot say; ``LiveKitControl`` raises it."""


@dataclass(frozen=True)
class Patience:
    """How long rooms are kept for whom.

    Args:
        leave_grace_s: When the last user has left.
        join_s: Until somebody has joined.
        poll_s: How often the server is asked who is there.
        start_s: Until the graph has started.
        unknown_s: For which the server may not say who is there.
    """

    leave_grace_s: float = 10.0
    join_s: float = 60.0
    poll_s: float = 2.0
    start_s: float = 15.0
    unknown_s: float = 3600.0


@dataclass(eq=False)
class Room:
    """One room; ``reason`` says why it ends, once that is so."""

    name: str
    user_id: str
    reason: str = ""
    duration_ms: int = 0
    began_s: float = field(default_factory=time.monotonic)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    started: asyncio.Future[None] = field(default_factory=asyncio.Future)

    @property
    def age_ms(self) -> int:
        """For how long it has been there."""
        return round((time.monotonic() - self.began_s) * 1000)

    def end(self, reason: str) -> None:
        """Has it end; what comes later changes nothing."""
        if not self.reason:
            self.reason = reason
            self.stopping.set()


class Rooms:
    """Starts rooms, watches over them, and ends them.

    Args:
        graphs: Run the rooms' graphs.
        template: What a room's graph is.
        control: The LiveKit server.
        leases: Say whether there is a place for one more.
        patience: How long what may take.
        on_running: Hears of each room whose graph runs.
        on_over: Hears why it is over, when it is.
        warn: Takes a line for the log.
    """

    def __init__(
        self,
        graphs: RoomGraphs,
        template: RoomTemplate,
        control: Control,
        leases: Leases,
        patience: Patience,
        *,
        on_running: Callable[[], None],
        on_over: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        self._graphs = graphs
        self._template = template
        self._control = control
        self._leases = leases
        self._patience = patience
        self._on_running = on_running
        self._on_over = on_over
        self._warn = warn
        self._starting: set[Room] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._running: dict[str, Room] = {}
        self._ended: OrderedDict[str, Room] = OrderedDict()
        self._stopped = False

    def __len__(self) -> int:
        return len(self._running)

    def get(self, name: str) -> Room | None:
        """The room, if it runs or ended not long ago."""
        return self._running.get(name) or self._ended.get(name)

    def __iter__(self) -> Iterator[Room]:
        """Those that run and are not ending, the oldest first."""
        return iter([r for r in self._running.values() if not r.reason])

    def key(self, room: Room, *, camera: bool) -> str:
        """What opens a room, to its user.

        Args:
            room: Which.
            camera: Whether they may show themselves.
        """
        return self._control.token(room.name, room.user_id, camera=camera)

    async def start(self, user_id: str, *, one: bool = False) -> Room:
        """Starts a room and its graph.

        A graph that TEN would not start, and not say why, is never sent.

        Args:
            user_id: Whose it is.
            one: Whether a user who has a room gets that one.

        Raises:
            Refusal: There is no place, or the graph does not start.
        """
        problem = await asyncio.to_thread(self._template.problem)
        if problem:
            raise Refusal("graph", f"no graph for the room: {problem}")
        if self._stopped:
            raise Refusal("stopping", "the server stops")
        if one and (known := self._of(user_id)):
            await self._started(known)
            return known
        room = Room(f"ten-{secrets.token_urlsafe(12)}", user_id)
        self._starting.add(room)
        try:
            return await self._start(room)
        finally:
            if room.name not in self._tasks:  # else it is still tried
                self._starting.discard(room)
            # Who waits for it, too, hears of it no later.
            _fail(room, GraphError("cancelled", "the start was given up"))

    def _of(self, user_id: str) -> Room | None:
        rooms = (*self._starting, *self._running.values())
        mine = [r for r in rooms if r.user_id == user_id and not r.reason]
        return mine[0] if mine else None

    async def _start(self, room: Room) -> Room:
        lease = await self._leases.place()
        if self._stopped:
            lease.give_back()
            raise Refusal("stopping", "the server stops")
        task = asyncio.create_task(self._live(room, lease))
        self._tasks[room.name] = task
        task.add_done_callback(lambda _: self._tasks.pop(room.name, None))
        try:
            await self._started(room)
        except (Refusal, asyncio.CancelledError):
            room.end("cancelled")
            raise
        return room

    async def _started(self, room: Room) -> None:
        """Waits until its graph runs."""
        try:
            await asyncio.wait_for(
                asyncio.shield(room.started), self._patience.start_s
            )
        except asyncio.TimeoutError as error:
            raise Refusal(
                "timeout",
                f"the graph of the room did not start within "
                f"{self._patience.start_s:g} s; if it still does, it is "
                "stopped",
            ) from error
        except GraphError as error:
            missing = await asyncio.to_thread(self._template.missing_addons)
            hint = f" - not installed: {', '.join(missing)}" if missing else ""
            raise Refusal(
                error.kind, f"no graph for the room: {error.detail}{hint}"
            ) from error

    async def end(self, name: str, reason: str) -> None:
        """Ends a room; returns when its graph has stopped."""
        room, task = self._running.get(name), self._tasks.get(name)
        if room is not None and task is not None:
            room.end(reason)
            await asyncio.shield(task)

    async def stop(self) -> None:
        """Ends all rooms, within about a second."""
        self._stopped = True
        for room in [*self._running.values(), *self._starting]:
            room.end("stop")
        tasks = list(self._tasks.values())
        if tasks:
            await asyncio.wait(tasks, timeout=_STOP_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._control.close()

    async def _live(self, room: Room, lease: Lease) -> None:
        """The life of a room."""
        try:
            graph_id = await self._graphs.start(
                self._template.for_room(room.name)
            )
        except asyncio.CancelledError:
            lease.give_back()
            _fail(room, GraphError("stopping", "the server stops"))
            self._warn(f"the graph of {room.name} may still start")
            raise
        # pylint: disable-next=broad-exception-caught
        except Exception as error:
            lease.give_back()
            _fail(room, error)
            return
        finally:
            self._starting.discard(room)
        lease.bind(room.name)
        self._running[room.name] = room
        self._on_running()
        if not room.started.done():
            room.started.set_result(None)
        try:
            await self._watch(room)
        finally:
            room.end("stop")
            await self._close(room, graph_id)

    async def _watch(self, room: Room) -> None:
        """Returns when the room shall end."""
        stopping = asyncio.create_task(room.stopping.wait())
        patience = self._patience
        joined, here_s, known = False, time.monotonic(), True
        asked_s = here_s
        try:
            while not room.reason:
                await asyncio.wait({stopping}, timeout=patience.poll_s)
                if room.reason:
                    return
                try:
                    users = await self._control.users(room.name)
                except Unavailable as problem:
                    # Who cannot be seen may be there.
                    here_s = time.monotonic()
                    if known:
                        self._warn(f"LiveKit, room {room.name}: {problem}")
                    known = False
                    if here_s - asked_s >= patience.unknown_s:
                        room.end("unknown")
                    continue
                known = True
                now_s = asked_s = time.monotonic()
                if users:
                    joined, here_s = True, now_s
                elif joined and now_s - here_s >= patience.leave_grace_s:
                    room.end("user_left")
                elif not joined and now_s - room.began_s >= patience.join_s:
                    room.end("participant_absent_timeout")
        finally:
            stopping.cancel()
            await asyncio.gather(stopping, return_exceptions=True)

    async def _close(self, room: Room, graph_id: str) -> None:
        """Stops the graph, and sends out who is still there.

        The room is over when its graph is: until then it keeps its place.
        """
        deleted = False
        try:
            deleted = await self._stop_graph(room, graph_id)
        finally:
            room.duration_ms = room.age_ms
            del self._running[room.name]
            self._ended[room.name] = room
            if len(self._ended) > _REMEMBERED:
                self._ended.popitem(last=False)
            self._leases.ended(room.name)
            self._on_over(room.reason)
        if not deleted:
            await self._delete(room)

    async def _stop_graph(self, room: Room, graph_id: str) -> bool:
        """Tells the graph to stop until it has.

        Returns:
            Whether the room had to be deleted for that.
        """
        retry_s = 0.0
        while problem := await self._refuses_to_stop(graph_id):
            if not retry_s:
                self._warn(f"the graph of {room.name} runs on: {problem}")
                # Without its room the graph ends its conversation, too.
                await self._delete(room)
            retry_s = min(retry_s * 2 or _FIRST_RETRY_S, _LAST_RETRY_S)
            await asyncio.sleep(retry_s)
        return retry_s > 0

    async def _refuses_to_stop(self, graph_id: str) -> str:
        """Tells a graph to stop; why it did not, "" if it did."""
        try:
            await asyncio.wait_for(self._graphs.stop(graph_id), _GRAPH_STOPS_S)
        except asyncio.TimeoutError:
            return f"it has not stopped within {_GRAPH_STOPS_S:g} s"
        except GraphError as error:
            return error.detail or "it does not say why"
        # pylint: disable-next=broad-exception-caught
        except Exception as error:
            return repr(error)
        return ""

    async def _delete(self, room: Room) -> None:
        try:
            await self._control.delete(room.name)
        except Unavailable as problem:
            self._warn(f"LiveKit, end of room {room.name}: {problem}")


def _fail(room: Room, error: Exception) -> None:
    if not room.started.done():
        room.started.set_exception(error)
        room.started.exception()  # the client who waits may have gone
