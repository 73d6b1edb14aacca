#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""A thin typed client of Tavus's REST API over one aiohttp session."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import quote

from .errors import (
    TavusError,
    TavusNotFoundError,
    TavusProtocolError,
    TavusValidationError,
)
from .tavus_http import DEFAULT_BASE_URL, VERSION, TavusHttp
from .tavus_models import (
    Conversation,
    Persona,
    Replica,
    Reply,
    Session,
    conversation,
    id_of,
    listed_conversation,
    persona,
    record_of,
    replica,
    session,
)

__all__ = [
    "DEFAULT_BASE_URL",
    "VERSION",
    "Conversation",
    "Persona",
    "Replica",
    "Reply",
    "Session",
    "TavusClient",
]

_SESSIONS = "/conversations/agora/session"

T = TypeVar("T")


class TavusClient(TavusHttp):
    """Talks to Tavus. Use as ``async with TavusClient(key) as client``.

    May be constructed anywhere; the first call opens the session in the
    running loop. Every method raises ``TavusError``. What is safe to repeat
    is repeated; a POST that creates is repeated only if the server cannot
    have acted on it, because each conversation costs money.

    Proxies: those of the environment, as it is when the session opens; see
    ``docs/deploy.md``.

    Args:
        api_key: Sent as ``x-api-key``, and nowhere else.
        base_url: Up to and including the version, as in ``DEFAULT_BASE_URL``.
        timeout_s: For one attempt, from the connection to the last byte.
        connect_timeout_s: Of that, for the name (DNS) and again for TCP and
            TLS; each at most a third of ``timeout_s``.
        attempts: How often a call is tried in all.
        backoff_s: The pause before the second attempt; doubles from there.

    Raises:
        TavusAuthError: The key is empty or cannot be a header's value.
        TavusValidationError: ``base_url`` is not an http(s) URL.
    """

    async def __aenter__(self) -> TavusClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def warm_up(self) -> TavusError | None:
        """Opens a connection (DNS, TCP, TLS) before the first user comes.

        Asks for one replica, once, which costs nothing and checks the key.

        Returns:
            None, or what a call would fail with now; it is not raised,
            since nobody needs anything from Tavus yet.
        """
        try:
            await self._once("GET", "/replicas", _nothing, {"limit": "1"}, None)
        except TavusError as error:
            return error
        return None

    async def create_conversation(self, body: dict[str, Any]) -> Conversation:
        """Starts a conversation, and with it the billing.

        Args:
            body: The request as Tavus documents it. A unique
                ``conversation_name`` lets it be found if the answer is lost.

        Raises:
            TavusError: With ``sent`` true it may be running nevertheless.
        """
        return await self._create("/conversations", body, conversation)

    async def get_conversation(
        self, conversation_id: str, *, verbose: bool = False
    ) -> Conversation:
        """Reads a conversation; ``verbose`` adds its events."""
        return await self._request(
            "GET",
            _path("conversations", conversation_id),
            _one(conversation),
            query={"verbose": "true"} if verbose else None,
        )

    def list_conversations(
        self, *, status: str | None = None, page_size: int = 100
    ) -> AsyncIterator[Conversation]:
        """All conversations of the account, one after the other.

        One whose id cannot be read has the id ""; it is there all the same.

        Args:
            status: ``active`` or ``ended``; None for both.
            page_size: How many one request asks for.
        """
        return _each(self.conversation_pages(status, page_size=page_size))

    def conversation_pages(
        self, status: str | None = None, *, page_size: int = 100
    ) -> AsyncIterator[list[Conversation]]:
        """As ``list_conversations``, what is new on each page."""
        query = {"status": status} if status else {}
        return self._pages(
            "/conversations",
            listed_conversation,
            "conversation_id",
            query,
            page_size,
        )

    async def end_conversation(self, conversation_id: str) -> bool:
        """Ends a conversation, and with it the billing.

        What Tavus answers for one that is over is not documented (clients
        report 400), and 400 can mean a wrong id: so it is looked up. So is
        a success that says something, for Tavus's is empty: it may be of a
        proxy. Whatever then has another status than "active" is over.

        Returns:
            True if this call ended it; False if it was over already (or an
            attempt of this call whose answer was lost had ended it).

        Raises:
            TavusNotFoundError: There is none, or so it seems: of an id that
                Tavus itself gave out, ask ``list_conversations``, too.
            TavusError: It may be running still.
        """
        path = _path("conversations", conversation_id)
        doubt: TavusError | None = None
        try:
            if await self._request("POST", f"{path}/end", _is_empty):
                return True
        except TavusError as error:
            if error.status not in (400, 404, 409):
                raise
            doubt = error
        found = await self.get_conversation(conversation_id)
        if not found.status:
            raise TavusNotFoundError("Tavus does not say whether it runs")
        if not found.is_active:
            return False
        doubt = doubt or TavusProtocolError(
            "something else than Tavus answered to the end of it"
        )
        doubt.retryable = True
        raise doubt

    async def delete_conversation(
        self, conversation_id: str, *, hard: bool = False
    ) -> bool:
        """Deletes a conversation's data; to end it, end it.

        Args:
            conversation_id: Which.
            hard: Its recordings and transcripts too, irrevocably.

        Returns:
            False if there was none.
        """
        path = _path("conversations", conversation_id)
        return await self._delete(path, {"hard": "true"} if hard else None)

    async def start_session(self, body: dict[str, Any]) -> Session:
        """Sends an avatar into an Agora channel, and starts the billing.

        Source: docs.tavus.io, Agora integration; the protocol is that of
        AgoraIO-Solutions/convoai_to_video, connection-setup.

        Args:
            body: ``avatar_id``, ``agora_settings`` and the rest of it.

        Raises:
            TavusError: With ``sent`` true it may be there nevertheless, and
                nothing can find it: there is no list of sessions.
        """
        made = await self._create(f"{_SESSIONS}/start", body, session)
        return replace(made, started_with=body)

    async def stop_session(self, session_id: str, session_token: str) -> bool:
        """Takes an avatar out of its Agora channel, and ends the billing.

        Args:
            session_id: Of ``start_session``, as is the token.
            session_token: Goes into the body, as the protocol has it, and
                into the head, where some servers want it.

        Returns:
            False if it was over already, or so it seems.

        Raises:
            TavusError: It may be there still.
        """
        try:
            stopped = await self._request(
                "DELETE",
                f"{_SESSIONS}/stop",
                _is_stopped,
                body={"session_id": session_id, "session_token": session_token},
                bearer=session_token,
            )
        except TavusNotFoundError:
            return False
        if not stopped:
            raise TavusProtocolError(
                "something else than Tavus answered to the end of it",
                retryable=True,
            )
        return True

    async def create_persona(self, body: dict[str, Any]) -> Persona:
        """Creates a persona; ``body`` as Tavus documents it."""
        return await self._create("/personas", body, persona)

    async def get_persona(self, persona_id: str) -> Persona:
        """Reads a persona."""
        return await self._request(
            "GET", _path("personas", persona_id), _one(persona)
        )

    def list_personas(
        self, *, persona_type: str | None = None, page_size: int = 100
    ) -> AsyncIterator[Persona]:
        """All personas: your own (``user``), stock (``system``), or both."""
        query = {"persona_type": persona_type} if persona_type else {}
        return _each(
            self._pages("/personas", persona, "persona_id", query, page_size)
        )

    async def patch_persona(
        self, persona_id: str, operations: list[dict[str, Any]]
    ) -> bool:
        """Changes a persona by JSON Patch (RFC 6902) operations.

        Not repeated after an unclear failure: ``add`` to a list adds twice.

        Returns:
            False if there was nothing to change (304).
        """
        return await self._request(
            "PATCH",
            _path("personas", persona_id),
            _is_changed,
            body=operations,
            repeatable=False,
        )

    async def delete_persona(self, persona_id: str) -> bool:
        """Deletes a persona. Returns False if there was none."""
        return await self._delete(_path("personas", persona_id))

    async def get_replica(self, replica_id: str) -> Replica:
        """Reads a replica."""
        return await self._request(
            "GET", _path("replicas", replica_id), _one(replica)
        )

    def list_replicas(
        self, *, replica_type: str | None = None, page_size: int = 100
    ) -> AsyncIterator[Replica]:
        """All replicas: your own (``user``), stock (``system``), or both."""
        query = {"replica_type": replica_type} if replica_type else {}
        return _each(
            self._pages("/replicas", replica, "replica_id", query, page_size)
        )

    async def _create(
        self,
        path: str,
        body: dict[str, Any],
        parse: Callable[[dict[str, Any]], T],
    ) -> T:
        return await self._request(
            "POST", path, _one(parse), body=body, repeatable=False
        )

    async def _delete(
        self, path: str, query: dict[str, str] | None = None
    ) -> bool:
        try:
            await self._request("DELETE", path, _nothing, query=query)
        except TavusNotFoundError:
            return False
        return True


async def _each(pages: AsyncIterator[list[T]]) -> AsyncIterator[T]:
    async for page in pages:
        for one in page:
            yield one


def _path(family: str, resource_id: str) -> str:
    if not (text := id_of(resource_id)):
        raise TavusValidationError(
            "this can be no id of Tavus", hint="use one that Tavus gave out"
        )
    return f"/{family}/{quote(text, safe='')}"


def _one(
    parse: Callable[[dict[str, Any]], T],
) -> Callable[[Reply], T]:
    return lambda reply: parse(record_of(reply))


def _nothing(_reply: Reply) -> None:
    """Success without content; whatever bytes come with it say no more."""


def _is_empty(reply: Reply) -> bool:
    return not reply.body.strip()


def _is_stopped(reply: Reply) -> bool:
    """What Agora's protocol answers, or nothing; not what a proxy does."""
    if _is_empty(reply):
        return True
    try:
        return record_of(reply).get("status") == "success"
    except TavusProtocolError:
        return False


def _is_changed(reply: Reply) -> bool:
    return reply.status != 304
