#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Creates exactly one conversation at Tavus, or none: never a lost one."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from .bodies import merged
from .config import StartOptions, TavusConfig
from .errors import TavusCancelledError, TavusError, TavusProtocolError
from .intents import Intents
from .journal import Entry, Journal
from .listings import known_by
from .personas import PersonaKeeper
from .reaper import SETTLE_S, Reaper
from .tavus_client import Conversation, Session, TavusClient
from .urls import can_be_entered

# When to look for the name after an answer that may or may not mean that
# Tavus has acted, seconds after the answer. A 5xx from Tavus itself has
# acted or never will; behind a gateway or a time-out it may still be at it.
_LOOK_AFTER_ANSWER_S = (0.0, 0.5, 1.5)
_LOOK_AFTER_SILENCE_S = (0.0, 0.5, 1.5, 3.0, 6.0)
_MAX_POSTS = 3
_SLOT_FREED_S = 1.5
_LOOK_EVERY_S = 3.0
_NO_URL_HINT = (
    "it was ended; https is needed, or http on this machine: check base_url, "
    "and what is between it and Tavus"
)
# What a join asks for; also known as this very object.
NO_OPTIONS = StartOptions()


class Creator:
    """The only place that asks for conversations.

    Args:
        config: What to ask for.
        client: Whom to ask.
        journal: Where the intent is written first.
        reaper: Ends what is found and not wanted.
        account: The fingerprint of the key, for the journal.
        log: Where trouble is reported.
    """

    def __init__(
        self,
        config: TavusConfig,
        client: TavusClient,
        journal: Journal,
        reaper: Reaper,
        account: str,
        log: logging.Logger,
    ) -> None:
        self._config = config
        self._client = client
        self._journal = journal
        self._reaper = reaper
        self._log = log
        # Sessions at Agora's endpoints instead of conversations.
        self._sessions = config.transport == "agora"
        self.intents = Intents(config, journal, account, log)
        self.personas = PersonaKeeper(config, client, log)
        self._told_of_names = False
        # Tavus does not keep of them what they are known by.
        self._names_lost = False
        # The body of those who ask for nothing special, and its persona.
        self._usual: tuple[str, dict[str, Any]] | None = None

    async def create(
        self,
        options: StartOptions,
        still_wanted: Callable[[], bool],
        unresolved: Callable[[asyncio.Task[bool]], None],
        additions: Mapping[str, Any] | None = None,
    ) -> tuple[Entry, Conversation]:
        """Creates one conversation.

        A request is repeated only when it is known that the one before it
        made nothing (https://docs.tavus.io has no idempotency key).

        Args:
            options: What this conversation has of its own.
            still_wanted: Asked before each request.
            unresolved: Given the task that finds out what became of a
                request, when ``create`` itself could not; until it is done,
                nothing else should be created in its place.
            additions: What the transport has to say in the request.

        Returns:
            The journal's entry and the conversation, adopted by its name
            where Tavus's answer was lost.

        Raises:
            TavusError: There is no conversation; if one should appear
                later, the reaper ends it.
        """
        asked: list[Entry] = []
        try:
            return await self._create(
                options, still_wanted, unresolved, additions, asked
            )
        except TavusError:
            raise
        except Exception:
            # A mistake of ours must not leave running what it has made.
            for entry in asked[-1:]:
                unresolved(self._reaper.end(entry))
            raise

    async def _create(
        self,
        options: StartOptions,
        still_wanted: Callable[[], bool],
        unresolved: Callable[[asyncio.Task[bool]], None],
        additions: Mapping[str, Any] | None,
        asked: list[Entry],
    ) -> tuple[Entry, Conversation]:
        """As ``create``; ``asked`` gets the entry of each request."""
        persona_id = await self.personas.ensure()
        slot_freed = False
        posts = 0
        while True:
            posts += 1
            entry = await self.intents.take()
            if not still_wanted():
                self._journal.over(entry.name)
                raise TavusCancelledError("nobody wants it any more")
            asked.append(entry)
            body = self._body(entry, options, persona_id)
            if additions:
                body = merged(body, additions)
            try:
                made = await self._ask(body)
            except TavusError as error:
                if not error.sent:
                    self._journal.over(entry.name)
                    if error.kind == "concurrency" and not slot_freed:
                        slot_freed = True
                        await self._free_a_slot(error)
                        continue
                    raise
                if entry.session or self._names_lost:
                    # Nothing can find it, and nobody talks to it: should it
                    # be there, it ends by itself.
                    unresolved(self._reaper.end(entry))
                    raise
                found = await self._look_for(
                    entry, error, _is_private(body), still_wanted, unresolved
                )
                if found is None:
                    if posts < _MAX_POSTS and still_wanted():
                        continue
                    raise
                made = found
            conversation_id = made.conversation_id
            token = made.session_token if isinstance(made, Session) else ""
            self._journal.got(entry.name, conversation_id, token)
            known = replace(entry, conversation_id=conversation_id, token=token)
            self._tell_of_another_name(entry, made)
            if made.conversation_url and not can_be_entered(
                made.conversation_url
            ):
                made = replace(made, conversation_url="")
            if self._needs_url(made, body) and not made.conversation_url:
                unresolved(self._reaper.end(known))
                raise TavusProtocolError(
                    "Tavus gave no conversation_url that users can enter",
                    retryable=False,
                    hint=_NO_URL_HINT,
                )
            return known, made

    async def _ask(self, body: dict[str, Any]) -> Conversation:
        if self._sessions:
            return await self._client.start_session(body)
        return await self._client.create_conversation(body)

    def _body(
        self, entry: Entry, options: StartOptions, persona_id: str
    ) -> dict[str, Any]:
        if self._sessions:
            return self._config.session_body(options, persona_id)
        if not options.is_usual:
            return self._config.conversation_body(
                entry.name, options, persona_id=persona_id
            )
        if self._usual is None or self._usual[0] != persona_id:
            body = self._config.conversation_body(
                self._config.conversation_name, persona_id=persona_id
            )
            self._usual = (persona_id, body)
        return {**self._usual[1], "conversation_name": entry.name}

    async def _free_a_slot(self, error: TavusError) -> None:
        self._log.warning("%s; ending what dead processes left", error)
        await self._reaper.sweep()
        await self._reaper.settle(timeout_s=5.0)
        # Tavus frees the slot of an ended conversation a moment later.
        await asyncio.sleep(_SLOT_FREED_S)

    async def _look_for(
        self,
        entry: Entry,
        error: TavusError,
        private: bool,
        still_wanted: Callable[[], bool],
        unresolved: Callable[[asyncio.Task[bool]], None],
    ) -> Conversation | None:
        """What the request made after all.

        Returns:
            The conversation; None when it is known that none is left.

        Raises:
            TavusError: The one given, when that could not be found out.
                The reaper then keeps looking, and ends what it finds.
        """
        self._log.warning("%s; looking whether it was created", error)
        answered = error.status in (200, 201, 500, 503)
        looks = _LOOK_AFTER_ANSWER_S if answered else _LOOK_AFTER_SILENCE_S
        waited_s = 0.0
        known = False
        found: list[Conversation] = []
        for at_s in itertools.chain(looks, itertools.count(9.0, _LOOK_EVERY_S)):
            enough = known or at_s > SETTLE_S or not still_wanted()
            if at_s > looks[-1] and enough:
                break
            await asyncio.sleep(at_s - waited_s)
            waited_s = at_s
            glance = at_s < looks[-1]
            try:
                found = await self._reaper.find(
                    entry, first=True, glance=glance
                )
            except TavusError as failure:
                self._log.debug("cannot look for it yet: %s", failure)
                known = False
                continue
            known = not glance
            if not found:
                continue
            made, *others = sorted(
                found, key=lambda one: not one.conversation_id
            )
            if not made.conversation_id:
                break
            made_id = made.conversation_id
            self._reaper.only(replace(entry, conversation_id=made_id), others)
            if private:
                # Only the lost answer had the token without which nobody
                # can join.
                await asyncio.shield(self._reaper.end(entry))
                return None
            self._log.info("found it: %r", made.conversation_id)
            return made
        task = self._reaper.end(entry)
        if found or not known:  # or found, and cannot be used
            unresolved(task)
            error.hint = (
                "it may have made a conversation all the same, and Tavus "
                "cannot say; nothing else is created here until it can, or "
                "would have ended it itself (participant_absent_timeout): "
                f"{self._config.participant_absent_timeout} s"
            )
            raise error
        return None

    def _tell_of_another_name(self, entry: Entry, made: Conversation) -> None:
        """It may not be found by that, should an answer be lost."""
        name = made.conversation_name
        if name:
            self._names_lost = known_by(name) != known_by(entry.name)
        if name not in ("", entry.name) and not self._told_of_names:
            self._told_of_names = True
            self._log.warning(
                "Tavus calls %r what was sent as %r: the 16 characters at "
                "the end have to stay, or a lost answer is not found again",
                name,
                entry.name,
            )

    def _needs_url(self, made: Conversation, body: dict[str, Any]) -> bool:
        """Whether it is by the URL that users get there."""
        elsewhere = self._config.transport != "daily" or "meeting_url" in body
        return not elsewhere and made.status.casefold() != "ended"


def _is_private(body: dict[str, Any]) -> bool:
    # The OpenAPI has it in both places, and params can put it into either.
    return bool(
        body.get("require_auth") or body["properties"].get("require_auth")
    )
