#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A Tavus account in memory: all of it behind one synchronous function."""

import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .agora_api import AgoraApi
from .agora_sessions import SessionBook
from .api import Account, Api
from .book import ConversationBook
from .catalog import Catalog
from .control import control
from .conversation import Conversation, Vocabulary
from .faults import (
    AGORA_ENDPOINTS,
    BEFORE,
    ENDPOINTS,
    REFUSE_TOKEN,
    Fault,
    FaultBox,
    spoiled,
)
from .messages import Refusal, SimReply, SimRequest, iso
from .reports import AvatarReports
from .room import room_page
from .routes import Route, find_route

_COUNTED = (*ENDPOINTS[:7], "other")
_REFUSALS_KEPT = 100


class Simulator:
    """What tavus-api.md says Tavus does, section 6 above all.

    Every public method may be called from any thread. Nothing happens by
    itself: each call first lets everything happen that is due by then.

    Args:
        api_key: the one key that is accepted; ``None`` accepts any, but
            still wants one.
        max_concurrent: how many conversations may be active at once.
        vocabulary: whether conversations are answered in ``old`` words
            (replica, persona) or ``new`` ones (face, PAL).
        clock: epoch seconds.
        base_url: where rooms are, such as ``http://127.0.0.1:8900``.
        seed: of the ids and of faults with a probability.
        latency_ms: how long every API answer waits, in milliseconds.
        replica_join_ms: how long after the first participant the replica
            joins, in milliseconds.
        end_ended_status: what ``/end`` answers for a conversation that has
            ended; not documented, clients report 400 and 404.
        unknown_id_status: what an unknown conversation id answers.
        max_page_size: longer pages are cut to this.
        wrap_persona: answer one persona as the OpenAPI says, inside
            ``data``, and not flat as the real service does.
        strict: list in the ledger, as ``undocumented``, what create requests
            contain that no document knows.
        newest_events_first: how a conversation's events are listed; which
            way Tavus does is not documented.
        livekit_conversation_url: whether a conversation in a LiveKit room
            has a ``conversation_url``; what Tavus does is not known.
        id_suffix: what each id ends with, for clients that expect none but
            letters and digits.
        ended_word: the status of what has ended, for clients that expect
            no other.
        names: what becomes of ``conversation_name``: ``kept``, ``lower``,
            ``bare`` (without punctuation and spaces), or ``cut`` and a
            number of characters, as in ``cut 32``.
        totals: what ``total_count`` counts: ``true``, ``all`` (whatever the
            query), ``page`` (the rows of the page) or ``none`` (it is left
            out).
        list_lag_s: how long after its creation a list, a GET and ``/end``
            do not know of a conversation yet, in seconds.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        max_concurrent: int | None = None,
        vocabulary: Vocabulary = "old",
        clock: Callable[[], float] = time.time,
        base_url: str = "http://127.0.0.1:8900",
        seed: int = 0,
        latency_ms: float = 0,
        replica_join_ms: float = 200,
        end_ended_status: int = 400,
        unknown_id_status: int = 400,
        max_page_size: int = 100,
        wrap_persona: bool = False,
        strict: bool = False,
        newest_events_first: bool = False,
        livekit_conversation_url: bool = False,
        id_suffix: str = "",
        ended_word: str = "ended",
        names: str = "kept",
        totals: str = "true",
        list_lag_s: float = 0,
    ) -> None:
        self.recent_requests: deque[SimRequest] = deque(maxlen=1000)
        # The first is called with (url, payload) for each webhook, the
        # second when the next deadline has moved or the clock has jumped.
        self.on_event: Callable[[str, dict[str, Any]], None] | None = None
        self.on_change: Callable[[], None] | None = None
        self._account = Account(
            api_key=api_key,
            max_concurrent=max_concurrent,
            vocabulary=vocabulary,
            base_url=base_url,
            end_ended_status=end_ended_status,
            unknown_id_status=unknown_id_status,
            max_page_size=max_page_size,
            wrap_persona=wrap_persona,
            strict=strict,
            newest_events_first=newest_events_first,
            livekit_conversation_url=livekit_conversation_url,
            ended_word=ended_word,
            names=names,
            totals=totals,
            list_lag_s=list_lag_s,
        )
        self._clock = clock
        self._clock_offset_s = 0.0
        self._announced: float | None = None
        self._latency_s = latency_ms / 1000
        self._lock = threading.RLock()
        self._counts: Counter[str] = Counter()
        self._faults = FaultBox(random.Random(f"{seed} faults"))
        self._held_webhooks: dict[str, dict[str, Any]] = {}
        self._book = ConversationBook(
            random.Random(f"{seed} conversations"),
            replica_join_ms / 1000,
            self._webhook,
            id_suffix,
        )
        self.avatars = AvatarReports(self._book, self._faults, self.now)
        self._refused: deque[dict[str, str]] = deque(maxlen=_REFUSALS_KEPT)
        self.catalog = Catalog(random.Random(f"{seed} personas"))
        self.sessions = SessionBook(
            random.Random(f"{seed} agora"), self._faults
        )
        self._api = Api(
            self._account, self._book, self.sessions, self.catalog, self.now
        )
        self._agora = AgoraApi(
            self._account,
            self.sessions,
            self.catalog,
            self._api.check_slot,
            self.now,
        )

    @property
    def base_url(self) -> str:
        """Where rooms are; a server sets it when it knows its port."""
        return self._account.base_url

    @base_url.setter
    def base_url(self, url: str) -> None:
        self._account.base_url = url

    # HTTP

    def handle(self, request: SimRequest) -> SimReply:
        """Answer one request: of the API, of ``/sim`` or of a room."""
        with self._lock:
            self.expire()
            try:
                reply = self._dispatch(request)
            except Refusal as refusal:
                reply = refusal.reply
            self._changed()
            return reply

    def _dispatch(self, request: SimRequest) -> SimReply:
        match request.path.split("/"):
            case ["", "v2", *parts]:
                return self._answer(request, parts)
            case ["", "sim", *parts]:
                return control(self, request, parts)
            case ["", "room", conversation_id] if request.method == "GET":
                return room_page(self, request, conversation_id)
        raise Refusal(404, error="Not found")

    def _answer(self, request: SimRequest, parts: list[str]) -> SimReply:
        self.recent_requests.append(request)
        route = find_route(request.method, parts)
        endpoint = route.endpoint if isinstance(route, Route) else "other"
        self._counts[endpoint] += 1
        fault = self._faults.take(endpoint)
        if fault and fault.kind in (*BEFORE, REFUSE_TOKEN):
            reply = spoiled(SimReply(200), fault)
        else:
            try:
                if isinstance(route, SimReply):
                    reply = route
                else:
                    agora = endpoint in AGORA_ENDPOINTS
                    api = self._agora if agora else self._api
                    reply = api.perform(request, route)
            except Refusal as refusal:
                reply = refusal.reply
                if endpoint == "create":
                    self._refused.append(
                        {"at": iso(self.now()), "error": str(refusal)}
                    )
            if fault:
                reply = spoiled(reply, fault)
        reply.delay_s += self._latency_s
        return reply

    # What tests and the control paths use

    @property
    def active(self) -> list[str]:
        """The ids of the active conversations, oldest first, and sessions."""
        with self._lock:
            self.expire()
            return [*self._book.active, *self.sessions.active]

    def ledger(self) -> dict[str, Any]:
        """What was created and what became of it, deleted ones included."""
        with self._lock:
            self.expire()
            now = self.now()
            entries = [c.entry(now) for c in self._book.all.values()]
            entries += [one.entry(now) for one in self.sessions.all.values()]
            active = len(self._book.active) + len(self.sessions.active)
            ledger = {
                "created": len(entries),
                "active": active,
                "ended": len(entries) - active,
                "conversations": entries,
                "refused": list(self._refused),
                "requests": {name: self._counts[name] for name in _COUNTED},
            }
            for name in AGORA_ENDPOINTS:
                if self._counts[name]:
                    ledger["requests"][name] = self._counts[name]
            if self._account.strict:
                ledger["undocumented"] = list(self._account.undocumented)
            return ledger

    def conversation(self, conversation_id: str) -> Conversation:
        """One conversation, with its request and its events.

        Raises:
            Refusal: when there is none.
        """
        with self._lock:
            return self._api.conversation(conversation_id)

    def add_fault(self, endpoint: str, kind: str, **options: Any) -> Fault:
        """Make requests go wrong; ``Fault`` explains the options.

        Raises:
            ValueError: when one of them is not what it may be.
        """
        fault = Fault(endpoint, kind, **options)
        with self._lock:
            self._faults.faults.append(fault)
        return fault

    def faults(self) -> list[Fault]:
        """The faults in force."""
        with self._lock:
            return list(self._faults.faults)

    def clear_faults(self) -> None:
        """Let everything work again."""
        with self._lock:
            self._faults.faults.clear()

    def join(self, conversation_id: str) -> None:
        """Let a participant enter.

        Raises:
            Refusal: for an unknown, ended or full conversation.
        """
        with self._lock:
            self.expire()
            conversation = self._running(conversation_id)
            limit = conversation.request.get("max_participants")
            # The replica counts as one of them.
            if limit is not None and conversation.participants + 1 >= limit:
                raise Refusal(409, error="The room is full")
            self._book.join(conversation, self.now())
            self._changed()

    def leave(self, conversation_id: str) -> None:
        """Let a participant go.

        Raises:
            Refusal: for an unknown, ended or empty conversation.
        """
        with self._lock:
            self.expire()
            conversation = self._running(conversation_id)
            if not conversation.participants:
                raise Refusal(409, error="Nobody is in the room")
            self._book.leave(conversation, self.now())
            self._changed()

    def shutdown(
        self,
        conversation_id: str,
        reason: str = "internal error occurred at step x",
    ) -> None:
        """End a conversation from Tavus's side.

        Raises:
            Refusal: for an unknown or ended conversation.
        """
        with self._lock:
            self.expire()
            conversation = self._running(conversation_id)
            self._book.end(conversation, self.now(), reason=reason)
            self._changed()

    def report(self, conversation_id: str, event: dict[str, Any]) -> None:
        """Say something of a conversation, as odd as Tavus can be.

        Args:
            conversation_id: which; it may have ended.
            event: said as it is, NaN and all; with the time, where it has
                none.

        Raises:
            Refusal: for an unknown conversation.
        """
        with self._lock:
            self.expire()
            conversation = self._api.conversation(conversation_id)
            now = self.now()
            self._book.report(
                conversation, {"timestamp": iso(now), **event}, now
            )
            self._changed()

    def avatar_reports(
        self, conversation_id: str, report: dict[str, Any]
    ) -> None:
        """Take what an avatar says; ``avatar.py`` lists what that can be."""
        with self._lock:
            self.expire()
            self.avatars.take(self._book.all[conversation_id], report)
            self._changed()

    def set_credits_spent(self, spent: bool) -> None:
        """Whether creating answers 402."""
        with self._lock:
            self._account.credits_spent = spent

    # Time

    def now(self) -> float:
        """The simulated time, in epoch seconds."""
        return self._clock() + self._clock_offset_s

    def advance(self, by_s: float) -> None:
        """Put the clock forward by this many seconds."""
        with self._lock:
            self._clock_offset_s += by_s
            self._announced = None
            self._changed()

    def expire(self) -> None:
        """Let everything happen that is due."""
        with self._lock:
            now = self.now()
            self._book.expire(now)
            self.sessions.expire(now)

    def next_deadline(self) -> float | None:
        """When something is due next, in simulated epoch seconds."""
        with self._lock:
            of_both = (
                self._book.next_deadline(),
                self.sessions.next_deadline(),
            )
            known = [when for when in of_both if when is not None]
            return min(known, default=None)

    @contextmanager
    def turn(self) -> Iterator[float]:
        """A moment, in epoch seconds, that is the caller's alone.

        What is due by then has happened, and what follows from what the
        caller does happens at its end.
        """
        with self._lock:
            self.expire()
            yield self.now()
            self._changed()

    def _changed(self) -> None:
        self.expire()
        deadline = self.next_deadline()
        if deadline != self._announced:
            self._announced = deadline
            if self.on_change:
                self.on_change()

    def _running(self, conversation_id: str) -> Conversation:
        conversation = self._api.conversation(conversation_id)
        if conversation.status != "active":
            raise Refusal(409, error="The conversation has ended")
        return conversation

    def _webhook(
        self, conversation: Conversation, payload: dict[str, Any]
    ) -> None:
        held = self._held_webhooks
        key = conversation.conversation_id
        fault = self._faults.take("webhook")
        kind = fault.kind if fault else None
        if kind == "lose":
            return
        if kind == "reorder" and key not in held:
            # It follows the conversation's next one.
            held[key] = payload
            return
        outgoing = [payload] * (2 if kind == "duplicate" else 1)
        if key in held:
            outgoing.append(held.pop(key))
        for one in outgoing:
            if self.on_event:
                self.on_event(one["webhook_url"], one)
