#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Drives one conversation from "wanted" to "running" and back.

Events (a user joins, a command, stop) only set what is wanted. One task per
conversation moves what is actual towards it, so no order of events can race.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from .config import StartOptions
from .creation import NO_OPTIONS
from .errors import TavusCancelledError, TavusError, TavusTimeoutError
from .events import Created, Ended, Failed, Measured, Reported
from .polling import NEVER, Polling
from .presence import Presence
from .reports import POLL
from .running import Parts, Running, reason_there
from .tavus_client import Conversation
from .transports import News, Problem, Stage, Trouble
from .waiting import Answers, changed_or_due

# While somebody waits, a start that failed for a passing reason is tried
# again after these times.
_START_AGAIN_S = (2.0, 5.0, 10.0, 20.0)
# After a refusal that no repeating can mend (key, credits), joins do not ask
# Tavus again for so long.
_REFUSED_S = 30.0
# A conversation that failed is replaced; not again before this has passed.
_REPLACED_S = 600.0
# In Tavus's words, where it is us who count.
_TOO_LONG = "max_call_duration reached"
# An end that is not confirmed for so long is told of.
_SLOW_END_S = 2.0
# So often in a row Tavus has to know nothing of a conversation before its list
# is asked.
_TIMES_UNKNOWN = 2
# A command waits so long for what became of an earlier request.
_BLOCKED_S = 10.0
# Of a status that no document knows.
_REASON_CHARS = 64


class ConversationDriver:
    """One conversation: for a channel, or for one user of it.

    Args:
        parts: What it shares with others.
        user_id: Whose it is; "" when it is everybody's in the channel.
        on_idle: Called when its task has nothing left to do.
    """

    def __init__(
        self,
        parts: Parts,
        user_id: str,
        on_idle: Callable[[ConversationDriver], None],
    ) -> None:
        self._parts = parts
        self._on_idle = on_idle
        self._user_id = user_id
        self._channel = parts.config.channel
        self._presence = Presence()
        self._options = NO_OPTIONS
        self._wanted = False
        self._reason = ""
        self._leave_at: float | None = None
        self._start_at = 0.0
        self._failures = 0
        self._running: Running | None = None
        self._opening: Stage | None = None
        self._replace_at = 0.0
        # Requests of which nobody knows yet what they made.
        self._unresolved: set[asyncio.Task[bool]] = set()
        self._blocked: TavusError | None = None
        self._refuse_at = NEVER
        self._starts: Answers[Conversation] = Answers()
        self._ends: Answers[None] = Answers()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    # What is wanted.

    def join(self, user_id: str, channel: str) -> None:
        """A user is there."""
        self._presence.join(user_id, channel)
        self._meet_in(channel)
        self._leave_at = None
        if self._parts.config.auto_start:
            self._want()

    def leave(self, user_id: str, channel: str) -> None:
        """A user has left; the last one ends it after the grace."""
        if not self._presence.leave(user_id, channel):
            return
        if self._presence.anybody:
            return
        grace_s = self._parts.config.leave_grace_ms / 1000
        self._leave_at = self._now() + grace_s
        self._kick()

    def start(self, options: StartOptions) -> asyncio.Future[Conversation]:
        """Starts it, or joins the one that runs.

        Returns:
            A future of the conversation, or of the TavusError instead.
        """
        self._meet_in(options.channel)
        self._leave_at = None
        self._start_at = 0.0
        if running := self._given:
            running.claims += 1
            answer = asyncio.get_running_loop().create_future()
            answer.set_result(running.conversation)
            return answer
        if (ending := self._running) and ending.stuck:
            # It would wait for the end, and nobody knows how long.
            answer = asyncio.get_running_loop().create_future()
            answer.set_exception(ending.stuck)
            return answer
        self._options = options
        self._want()
        return self._starts.ask()

    def end(self, reason: str) -> asyncio.Future[None]:
        """Ends it; the future is done when it is really over."""
        self._unwant(reason)
        self._kick()
        return self._ends.ask()

    def give_back(self) -> asyncio.Future[None] | None:
        """Whoever was given it by a start does not want it any more.

        Returns:
            As ``end``, where it is ended: nobody is there, and no other
            start was given it, or waits for it. Else None.
        """
        running = self._running
        if running is None:
            return None
        running.claims -= 1
        used = self._presence.anybody or self._starts.anybody
        return None if used or running.claims > 0 else self.end("cancelled")

    def give_up(self) -> None:
        """A start waits no longer: without a user, nobody wants it."""
        given = self._given is not None and self._given.claims > 0
        if not (given or self._starts.anybody or self._presence.anybody):
            self._unwant("cancelled")
            self._kick()

    def stop(self) -> asyncio.Task[None] | None:
        """Ends it for good; returns the task to wait for, if any."""
        self._unwant("stop")
        if self._running is not None:  # whatever the task may wait for
            self._parts.reaper.end(self._running.entry, self._running.since)
        if self._task is not None and not self._task.done():
            self._kick()
        return self._task

    @property
    def conversation_id(self) -> str:
        """Tavus's id while it runs, else empty."""
        return (
            self._running.conversation.conversation_id if self._running else ""
        )

    @property
    def _given(self) -> Running | None:
        """What a start is given at once: it runs, and goes on."""
        running = self._running
        goes_on = self._wanted and not self._ends
        return running if running and goes_on and not running.ending else None

    @property
    def idle(self) -> bool:
        """Whether nothing is known here that would be missed."""
        busy = self._task is not None and not self._task.done()
        return not (busy or self._unresolved or self._presence.anybody)

    # What is actual.

    async def _drive(self) -> None:
        while True:
            self._changed.clear()
            now = self._now()
            if not self._still_wanted():
                self._unwant("user_left")
            running = self._running
            acted = False
            if running is not None:
                acted = await self._tend(running, now)
            elif self._unresolved:
                if self._starts and self._blocked and now >= self._refuse_at:
                    self._starts.refuse(self._blocked)
                    self.give_up()
            else:
                self._ends.give(None)
                if not self._wanted:
                    self._options = NO_OPTIONS
                    self.abandon(TavusCancelledError("it was ended"))
                    return
                acted = now >= self._start_at
                if acted:
                    await self._start()
            if not acted:
                await changed_or_due(self._changed, self._due())

    async def _tend(self, running: Running, now: float) -> bool:
        """Does what one that runs needs; whether that was anything."""
        if now >= running.until:
            self._unwant(_TOO_LONG)
        # A start that follows an end does not undo it: it gets another.
        if self._ends or not self._wanted:
            await self._end(running)
        elif running.trouble is not None:
            await self._replace(running, running.trouble)
        elif running.poll is not None and running.poll.done():
            self._learn(running, running.poll.result())
        elif running.poll is None and now >= running.polling.due_at:
            self._ask(running)
        else:
            return False
        return True

    async def _start(self) -> None:
        parts, began = self._parts, self._now()
        stage = self._opening = parts.transport.stage(self._hear)
        try:
            # A person's command is asked all the same.
            refused = parts.refused if began < parts.refused_until else None
            if refused and not self._starts:
                raise refused
            additions = await stage.open()
            self._opening = None
            if not self._still_wanted():
                stage.close()
                return
            options = self._options
            entry, made = await parts.creator.create(
                options, self._still_wanted, self._wait_for, additions
            )
        except BaseException as error:
            stage.close()
            self._opening = None
            if isinstance(error, TavusError):
                # Who ended it is answered where that is done.
                if not isinstance(error, TavusCancelledError):
                    self._start_failed(error)
                return
            raise
        now = self._now()
        parts.refused = None
        self._failures = 0
        # Nobody can be asked after a session; the socket tells.
        every_s = 0 if entry.session else parts.config.status_poll_s
        polling = Polling(now, every_s)
        story = parts.reports.opened(
            made.conversation_id, self._user_id, self._channel, self._look
        )
        running = self._running = Running(
            entry, made, now, polling, story, stage, options
        )
        if entry.session:  # Tavus is not told how long it may last
            running.until = now + parts.config.max_call_duration
        if not (self._ends and self._wanted):
            self._options = NO_OPTIONS
            running.claims = self._starts.give(made)
        create_ms = round((now - began) * 1000, 1)
        parts.relay.tell(Created(made, self._user_id, self._channel, create_ms))
        if made.status.casefold() == "ended":
            test = parts.config.test_mode
            self._ended_there(running, "test_mode" if test else "tavus")
        else:
            stage.began(made)
            if not made.is_active:
                polling.hint(self._now())

    def _start_failed(self, error: TavusError) -> None:
        parts = self._parts
        if self._unresolved:
            self._blocked, self._refuse_at = error, self._now() + _BLOCKED_S
        if error.kind in ("auth", "credits"):
            parts.refused = error
            parts.refused_until = self._now() + _REFUSED_S
        elif error.retry_after_s and error is not parts.refused:
            # Nor after a pause that Tavus has asked for, and not for others.
            parts.refused = error
            parts.refused_until = self._now() + error.retry_after_s
        self._starts.refuse(error)
        again = (
            error.retryable
            and self._presence.anybody
            and self._failures < len(_START_AGAIN_S)
        )
        if again:
            self._start_at = self._now() + _START_AGAIN_S[self._failures]
            if error is parts.refused:
                self._start_at = max(self._start_at, parts.refused_until)
            self._failures += 1
        else:
            self._unwant("failed")
            self._options = NO_OPTIONS
        parts.relay.tell(
            Failed(error, self._user_id, self._channel, retrying=again)
        )

    async def _end(self, running: Running) -> None:
        reason = self._reason
        there = await self._over_there(running)
        self._is_over(running, there or reason)

    async def _replace(self, running: Running, trouble: Trouble) -> None:
        """It cannot go on: it is ended, and another is made, once."""
        there = await self._over_there(running)
        again = False
        if there and trouble.gone:
            self._unwant(there)  # Tavus ended it, and took the avatar away
        else:
            now = self._now()
            again = trouble.again and now >= self._replace_at
            self._replace_at = now + _REPLACED_S if again else 0.0
            if not again:
                self._unwant(trouble.reason)
            elif not self._starts:
                self._options = running.options
            self._parts.relay.tell(
                Failed(
                    trouble.error,
                    self._user_id,
                    self._channel,
                    running.conversation.conversation_id,
                    again and self._wanted,
                )
            )
        replaced = again and self._wanted
        self._is_over(running, there or trouble.reason, replaced)

    async def _over_there(self, running: Running) -> str:
        """Ends it; why it was already over, "" when we ended it."""
        running.ending = True
        running.stop_asking()
        running.stage.close()
        parts = self._parts
        wanted = self._wanted
        ending = parts.reaper.end(running.entry, running.since)
        await asyncio.wait({ending}, timeout=_SLOW_END_S)
        if not ending.done():
            self._end_stuck(running, wanted)
        ended_by_us = await asyncio.shield(ending)
        if ended_by_us or running.entry.session:
            return ""
        return await reason_there(parts.client, running)

    def _end_stuck(self, running: Running, wanted: bool) -> None:
        """Who waits for the end, or to start after it, is told why."""
        parts = self._parts
        error = running.stuck = parts.reaper.trouble(
            running.entry
        ) or TavusTimeoutError(
            "Tavus has not confirmed yet that the conversation has ended",
            sent=True,
        )
        if self._starts and not wanted:
            self._starts.refuse(error)
            if not (parts.config.auto_start and self._presence.anybody):
                self._unwant("failed")
        conversation_id = running.conversation.conversation_id
        parts.relay.tell(
            Failed(error, self._user_id, self._channel, conversation_id, True)
        )

    def _ask(self, running: Running) -> None:
        """Asks Tavus how it is; what changes here meanwhile goes on."""
        running.polling.begin(self._now())
        running.poll = asyncio.create_task(self._seen_there(running))
        running.poll.add_done_callback(lambda _: self._changed.set())

    async def _seen_there(self, running: Running) -> Conversation | None:
        """What Tavus says of it; None where it does not answer."""
        parts = self._parts
        try:
            return await parts.client.get_conversation(
                running.conversation.conversation_id, verbose=True
            )
        except TavusError as error:
            parts.log.debug("cannot ask after it: %s", error)
            running.times_unknown += error.kind == "not_found"
        if running.times_unknown >= _TIMES_UNKNOWN:
            await self._look_in_list(running)
        return None

    async def _look_in_list(self, running: Running) -> None:
        """Whether there is really none; a wrong 404 ends no call."""
        try:
            listed = await self._parts.reaper.find(running.entry)
        except TavusError as error:
            self._parts.log.debug("cannot look whether it runs: %s", error)
            return
        if listed:
            running.times_unknown = 0
        else:
            self._unwant("not_found")

    def _learn(self, running: Running, seen: Conversation | None) -> None:
        """Tavus has been asked."""
        parts, polling = self._parts, running.polling
        running.poll = None
        if seen is None:
            polling.failed(self._now())
            return
        polling.answered()
        running.times_unknown = 0
        conversation_id = running.conversation.conversation_id
        for event in running.story.unlisted(seen.events):
            parts.reports.report(conversation_id, event, POLL)
        if seen.status.casefold() == "ended":
            self._ended_there(running, seen.shutdown_reason or "tavus")
        elif not seen.is_active:
            # Whatever that means: it is over when it has been ended.
            self._unwant(seen.status[:_REASON_CHARS])

    def _ended_there(self, running: Running, reason: str) -> None:
        # Users may still be here, but what they see is a call that ended:
        # only a new join or command starts (and bills) another.
        self._unwant(reason)
        self._parts.journal.over(running.entry.name)
        self._is_over(running, reason)

    def _is_over(
        self, running: Running, reason: str, replaced: bool = False
    ) -> None:
        self._forget(running)
        self._ends.give(None)
        duration_ms = round((self._now() - running.since) * 1000)
        self._parts.relay.tell(
            Ended(
                running.conversation.conversation_id,
                reason,
                duration_ms,
                self._user_id,
                self._channel,
                replaced,
            )
        )

    # How.

    def _meet_in(self, channel: str) -> None:
        self._channel = channel or self._channel
        if self._running is not None:
            self._running.story.channel = self._channel

    def _look(self) -> None:
        """Somebody says that it is over; Tavus has to say so."""
        if self._running and self._running.polling.hint(self._now()):
            self._changed.set()

    def _hear(self, told: News | Trouble | Problem) -> None:
        """What happens on the stage of the conversation that runs."""
        running = self._running
        if running is None:
            return
        conversation_id = running.conversation.conversation_id
        if isinstance(told, Trouble):
            self._parts.log.warning("%s: %s", conversation_id, told.error)
            running.trouble = running.trouble or told
            self._changed.set()
            return
        whose = (self._user_id, self._channel)
        relay = self._parts.relay
        if isinstance(told, Problem):
            relay.tell(Failed(told.error, *whose, conversation_id))
            return
        event = {
            "conversation_id": conversation_id,
            "event_type": told.event_type,
            "timestamp": time.time(),
            "properties": dict(told.properties),
        }
        source = self._parts.config.transport
        relay.tell(Reported(conversation_id, event, *whose, source))
        if told.metrics:
            relay.tell(Measured(conversation_id, told.metrics, *whose))

    def _forget(self, running: Running) -> None:
        running.stop_asking()
        running.stage.close()  # it may have something to say of its end
        self._running = None
        self._parts.reports.closed(running.conversation.conversation_id)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _still_wanted(self) -> bool:
        gone = self._leave_at is not None and self._now() >= self._leave_at
        return self._wanted and not gone

    def _want(self) -> None:
        self._wanted = True
        if self._parts.transport.voice is not None:
            self._parts.transport.voice.open()
        self._kick()

    def _unwant(self, reason: str) -> None:
        if self._wanted:
            self._wanted, self._reason = False, reason
            if self._parts.transport.voice is not None:
                self._parts.transport.voice.shut()
            if self._opening is not None:
                self._opening.close()
        self._leave_at = None
        self._failures = 0

    def _wait_for(self, task: asyncio.Task[bool]) -> None:
        """Creates nothing before that is done.

        Args:
            task: Ends what nobody uses; in ``participant_absent_timeout``
                Tavus does.
        """
        at_most_s = self._parts.config.participant_absent_timeout

        def resolved(_: asyncio.Task[bool]) -> None:
            alarm.cancel()
            self._unresolved.discard(task)
            if not self._unresolved:
                self._blocked = None
            self._changed.set()
            self._on_idle(self)

        def too_long() -> None:
            self._parts.log.warning(
                "Tavus has not said for %s s whether there is a conversation; "
                "its own timer must have ended what nobody joined",
                at_most_s,
            )
            resolved(task)

        alarm = asyncio.get_running_loop().call_later(at_most_s, too_long)
        self._unresolved.add(task)
        task.add_done_callback(resolved)

    def _kick(self) -> None:
        self._changed.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
            self._task.add_done_callback(lambda _: self._on_idle(self))

    async def _run(self) -> None:
        try:
            await self._drive()
        except Exception as error:  # pylint: disable=broad-exception-caught
            # A mistake of ours must not leave a call running or a command
            # unanswered.
            self._parts.log.exception("conversation driver failed")
            if self._running is not None:
                self._wait_for(
                    self._parts.reaper.end(
                        self._running.entry, self._running.since
                    )
                )
                self._forget(self._running)
            self._unwant("internal")
            self.abandon(TavusError(f"internal error: {error!r}"))

    def abandon(self, error: TavusError) -> None:
        """Answers every command that still waits, and leaves the room."""
        if self._running is not None:
            self._running.stop_asking()
            self._running.stage.close()
        self._starts.refuse(error)
        self._ends.refuse(error)

    def _due(self) -> list[float]:
        due = [self._leave_at] if self._leave_at is not None else []
        if self._running is not None:
            due.append(self._running.until)
            if self._running.poll is None:
                due.append(self._running.polling.due_at)
        elif self._unresolved:
            due += [self._refuse_at] if self._starts else []
        elif self._wanted:
            due.append(self._start_at)
        return due
