"""The cap on active conversations, kept here or, for several processes, in
Redis."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable

from redis.asyncio import Redis

from .answers import Refusal
from .redis_store import RETRY_S, LimiterUnavailable, answer

__all__ = ["Lease", "Leases"]

_KEY = "tavus_http:leases"
_LIFE_S = 30.0
_RENEW_S = 10.0
_RETRY_S = 1.0
_STOP_TIMEOUT_S = 0.1
# When to come back: a place is free when a conversation ends.
_FULL_RETRY_S = 10

# KEYS[1]: a sorted set, lease -> when it ends (ms of Redis's own clock).
# ARGV: life in ms, cap, the wanted lease ("" for none), the number of leases
# that are over, those, the leases that go on.
_SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = now + tonumber(ARGV[1])
local over = tonumber(ARGV[4])
for i = 5, 4 + over do
  redis.call('ZREM', KEYS[1], ARGV[i])
end
for i = 5 + over, #ARGV do
  redis.call('ZADD', KEYS[1], ends, ARGV[i])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local got = 0
if ARGV[3] ~= '' and redis.call('ZCARD', KEYS[1]) < tonumber(ARGV[2]) then
  redis.call('ZADD', KEYS[1], ends, ARGV[3])
  got = 1
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return got
"""


class Lease:
    """A place for a conversation that is about to be.

    Settle it once: ``bind`` or ``give_back``; what comes later is ignored.
    """

    def __init__(self, leases: Leases) -> None:
        self._leases: Leases | None = leases

    def bind(self, conversation_id: str) -> None:
        """The conversation is there, and keeps the place until it ends.

        Args:
            conversation_id: One that is counted already takes no second
                place.
        """
        leases, self._leases = self._leases, None
        if leases is not None:
            leases.settle(conversation_id)

    def give_back(self) -> None:
        """There will be no conversation."""
        leases, self._leases = self._leases, None
        if leases is not None:
            leases.settle(None)


class Leases:
    """Counts active conversations, and those about to be, against the cap.

    In Redis each place is a lease that lives for ``life_s`` unless it is
    renewed, so those of a process that died are free soon. After a restart
    of Redis without its data the next renewal puts them back.

    Args:
        cap: The most there may be; 0 for any number.
        redis: Where several processes count together; its maker closes it.
        warn: Takes a line for the log.
        life_s: How long a lease lives without renewal.
        renew_s: How often leases are renewed.
    """

    def __init__(
        self,
        cap: int,
        redis: Redis | None = None,
        *,
        warn: Callable[[str], None] = lambda _: None,
        life_s: float = _LIFE_S,
        renew_s: float = _RENEW_S,
    ) -> None:
        self._cap = cap
        self._warn = warn
        self._life_ms = round(life_s * 1000)
        self._renew_s = renew_s
        self._script = None
        if redis is not None and cap:
            self._script = redis.register_script(_SCRIPT)
        self._conversations: set[str] = set()
        self._unsettled = 0
        # Counted while a lease was not settled, so probably its conversation.
        self._early: set[str] = set()
        # What this process holds: one for each of the above but the early.
        self._held: set[str] = set()
        self._over: set[str] = set()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def active(self) -> int:
        """How many conversations of this process are counted."""
        return len(self._conversations)

    async def reserve(self) -> Lease | None:
        """Takes a place before a conversation is made.

        Returns:
            The lease, to be settled; None if there is no place.

        Raises:
            LimiterUnavailable: Redis does not answer.
        """
        wanted = uuid.uuid4().hex
        if self._cap and len(self._held) >= self._cap:
            return None
        if self._script is not None and not await self._take(wanted):
            return None
        self._held.add(wanted)
        self._unsettled += 1
        return Lease(self)

    async def place(self) -> Lease:
        """As ``reserve``, for a client, who is told why there is none.

        Raises:
            Refusal: There is no place, or Redis does not answer.
        """
        try:
            lease = await self.reserve()
        except LimiterUnavailable as error:
            raise Refusal("limiter", str(error), RETRY_S) from error
        if lease is None:
            raise Refusal(
                "full",
                "as many conversations run as this server allows "
                "(max_active); try again when one has ended",
                _FULL_RETRY_S,
            )
        return lease

    def count(self, conversation_id: str) -> None:
        """A conversation runs, however it came to be.

        Args:
            conversation_id: Counted even when the cap is reached.
        """
        if conversation_id in self._conversations:
            return
        self._conversations.add(conversation_id)
        if len(self._early) < self._unsettled:
            self._early.add(conversation_id)
        self._fit()

    def ended(self, conversation_id: str) -> None:
        """A conversation is over; of one not counted it means nothing."""
        self._conversations.discard(conversation_id)
        self._early.discard(conversation_id)
        self._fit()

    def settle(self, conversation_id: str | None) -> None:
        """One lease has its conversation, or None: it gets none."""
        self._unsettled -= 1
        if conversation_id is not None:
            self._conversations.add(conversation_id)
            self._early.discard(conversation_id)
        while len(self._early) > self._unsettled:
            self._early.pop()  # it came from elsewhere
        self._fit()

    async def start(self) -> None:
        """Begins to keep the leases in Redis alive."""
        if self._script is not None:
            self._task = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Frees every place; the graph ends its conversations itself."""
        if self._task is None:
            return
        self._stopping = True
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._over |= self._held
        self._held.clear()
        try:
            await self._renew(_STOP_TIMEOUT_S)
        except LimiterUnavailable:
            self._warn("the leases are left to Redis, which drops them soon")

    def _fit(self) -> None:
        """Holds as many leases as there are conversations, now or soon."""
        wanted = len(self._conversations) + self._unsettled - len(self._early)
        while len(self._held) > wanted:
            self._drop(self._held.pop())
        while len(self._held) < wanted:
            self._held.add(uuid.uuid4().hex)
            self._changed.set()

    def _drop(self, lease: str) -> None:
        if self._script is not None:
            self._over.add(lease)
            self._changed.set()

    async def _take(self, wanted: str) -> bool:
        assert self._script is not None
        try:
            got = await answer(
                self._script([_KEY], [self._life_ms, self._cap, wanted, 0])
            )
        except (LimiterUnavailable, asyncio.CancelledError):
            self._drop(wanted)  # Redis may have given it all the same
            raise
        return bool(got)

    async def _keep(self) -> None:
        """Tells Redis what goes on and what is over, in one order."""
        working = True
        # Not "while True": wait_for can swallow a cancel (bpo-37658).
        while not self._stopping:
            if working:
                await self._news()
            else:
                await asyncio.sleep(_RETRY_S)
            self._changed.clear()
            try:
                await self._renew()
                working = True
            except LimiterUnavailable as problem:
                if working:
                    self._warn(f"{problem}; new conversations are refused")
                working = False

    async def _news(self) -> None:
        """Returns when something has changed, or renewal is due."""
        loop = asyncio.get_running_loop()
        due = loop.call_later(self._renew_s, self._changed.set)
        try:
            await self._changed.wait()
        finally:
            due.cancel()

    async def _renew(self, timeout_s: float = 1.0) -> None:
        assert self._script is not None
        over, held = list(self._over), list(self._held)
        await answer(
            self._script(
                [_KEY],
                [self._life_ms, self._cap, "", len(over), *over, *held],
            ),
            timeout_s,
        )
        self._over.difference_update(over)
