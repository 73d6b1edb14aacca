#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What each endpoint of the REST API does when nothing is made to fail."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from .agora_sessions import SessionBook
from .book import ENDED_BY_CLIENT, ROOM_DELETED, ConversationBook
from .catalog import DEFAULT_PERSONA, Catalog, to_old, to_vocabulary
from .conversation import Conversation, Vocabulary
from .livekit import livekit_room
from .messages import Refusal, SimReply, SimRequest, json_reply
from .routes import Route
from .rules import check_create

_CREATE_FAILED = (
    "There was an error creating the conversation, please reach out to "
    "support at support@tavus.io!"
)
_NO_SLOT = "User has reached maximum concurrent conversations"
_NO_CREDITS = "The user is out of conversational credits"
_UNCHANGED = {"message": "No changes were made to the persona"}
_DEFAULT_PAGE_SIZE = 10


@dataclass
class Account:
    """The simulated account; ``Simulator`` explains each field."""

    api_key: str | None
    max_concurrent: int | None
    vocabulary: Vocabulary
    base_url: str
    end_ended_status: int
    unknown_id_status: int
    max_page_size: int
    wrap_persona: bool
    strict: bool
    newest_events_first: bool
    livekit_conversation_url: bool
    ended_word: str = "ended"
    names: str = "kept"
    totals: str = "true"
    list_lag_s: float = 0
    credits_spent: bool = False
    undocumented: list[str] = field(default_factory=list)


class Api:
    """The endpoints, over the books they read and write."""

    def __init__(
        self,
        account: Account,
        book: ConversationBook,
        sessions: SessionBook,
        catalog: Catalog,
        now: Callable[[], float],
    ) -> None:
        self._account = account
        self._book = book
        self._sessions = sessions
        self._catalog = catalog
        self._now = now
        self._actions: dict[str, Callable[..., SimReply]] = {
            "create": self._create,
            "list": self._list,
            "get": self._get,
            "end": self._end,
            "delete": self._delete,
            "create_persona": self._create_persona,
            "list_personas": self._list_personas,
            "get_persona": self._get_persona,
            "patch_persona": self._patch_persona,
            "delete_persona": self._delete_persona,
            "list_replicas": self._list_replicas,
            "get_replica": self._get_replica,
        }

    def perform(self, request: SimRequest, route: Route) -> SimReply:
        """Check the key, then act.

        Raises:
            Refusal: what Tavus would refuse.
        """
        key, known = request.headers.get("x-api-key"), self._account.api_key
        if not key:
            takes = "takes any" if known is None else "takes one"
            raise Refusal(
                401,
                # Tavus leaves out what comes after the colon.
                message="Invalid access token: the header x-api-key is "
                f"missing or empty; this simulator {takes} key, and needs it",
            )
        if known not in (None, key):
            raise Refusal(401, message="Invalid access token")
        return self._actions[route.action](request, *route.arguments)

    def conversation(self, conversation_id: str) -> Conversation:
        """A conversation that has not been deleted.

        Raises:
            Refusal: when there is none.
        """
        conversation = self._book.all.get(conversation_id)
        if conversation is None or conversation.deleted:
            raise self._unknown()
        return conversation

    def _unknown(self) -> Refusal:
        return Refusal(
            self._account.unknown_id_status, error="Invalid conversation_id"
        )

    def _told(self, conversation_id: str) -> Conversation:
        """As ``conversation``, of those that the API tells of already."""
        conversation = self.conversation(conversation_id)
        if self._is_new(conversation):
            raise self._unknown()
        return conversation

    def _is_new(self, conversation: Conversation) -> bool:
        age_s = self._now() - conversation.created_at
        return age_s < self._account.list_lag_s

    def check_slot(self) -> None:
        """Check that one more conversation or session may be opened.

        Raises:
            Refusal: when credits are spent, or too many are active.
        """
        if self._account.credits_spent:
            raise Refusal(402, message=_NO_CREDITS)
        limit = self._account.max_concurrent
        active = len(self._book.active) + len(self._sessions.active)
        if limit is not None and active >= limit:
            raise Refusal(400, message=_NO_SLOT)

    # Conversations

    def _create(self, request: SimRequest) -> SimReply:
        account = self._account
        body = request.json_object()
        undocumented = check_create(body)
        if account.strict:
            account.undocumented += undocumented
        replica_id, persona_id = self._cast(to_old(body))
        livekit = livekit_room(body, self._catalog.personas[persona_id])
        if not body.get("test_mode"):
            self.check_slot()
        name = body.get("conversation_name")
        if isinstance(name, str):
            body = {**body, "conversation_name": _named(account.names, name)}
        conversation = self._book.create(
            body,
            replica_id=replica_id,
            persona_id=persona_id,
            base_url=account.base_url,
            now=self._now(),
            livekit=livekit,
            has_url=livekit is None or account.livekit_conversation_url,
        )
        answer = self._view(conversation)
        del answer["updated_at"]
        if conversation.meeting_token:
            answer["meeting_token"] = conversation.meeting_token
        return json_reply(answer)

    def _cast(self, wish: dict[str, Any]) -> tuple[str, str]:
        """The replica and the persona a create request asks for."""
        replica_id = wish.get("replica_id")
        persona_id = wish.get("persona_id")
        if persona_id is None and replica_id is not None:
            persona_id = DEFAULT_PERSONA
        if persona_id is None:
            raise Refusal(400, error=_CREATE_FAILED)
        persona = self._catalog.personas.get(persona_id)
        if persona is None:
            raise Refusal(400, message="Invalid persona_id")
        if replica_id is None:
            replica_id = persona.get("default_replica_id")
        if replica_id is None:
            raise Refusal(400, error=_CREATE_FAILED)
        if replica_id not in self._catalog.replicas:
            raise Refusal(400, message="Invalid replica_id")
        return replica_id, persona_id

    def _list(self, request: SimRequest) -> SimReply:
        status = request.query.get("status")
        book = self._book.active if status == "active" else self._book.all
        found = [
            self._view(conversation)
            for conversation in reversed(book.values())
            if not (conversation.deleted or self._is_new(conversation))
            and status in (None, conversation.status)
        ]
        return self._page(request, found, len(self._book.all))

    def _view(self, conversation: Conversation) -> dict[str, Any]:
        answer = conversation.view(self._account.vocabulary)
        if answer["status"] == "ended":
            answer["status"] = self._account.ended_word
        return answer

    def _get(self, request: SimRequest, conversation_id: str) -> SimReply:
        conversation = self._told(conversation_id)
        answer = self._view(conversation)
        if request.query.get("verbose") == "true":
            events = list(conversation.events)
            if self._account.newest_events_first:
                events.reverse()
            answer["events"] = events or None
        return json_reply(answer)

    def _end(self, _: SimRequest, conversation_id: str) -> SimReply:
        conversation = self._told(conversation_id)
        status = self._account.end_ended_status
        if conversation.status == "active":
            self._book.end(
                conversation,
                self._now(),
                reason=ENDED_BY_CLIENT,
                ended_by="client",
            )
        elif status != 200:
            raise Refusal(status, error="Conversation has already ended")
        return SimReply(200)

    def _delete(self, _: SimRequest, conversation_id: str) -> SimReply:
        # Whether deleting an active conversation ends it is not documented;
        # some clients rely on it.
        conversation = self.conversation(conversation_id)
        if conversation.status == "active":
            self._book.end(
                conversation,
                self._now(),
                reason=ROOM_DELETED,
                ended_by="delete",
            )
        conversation.deleted = True
        return SimReply(204)

    # Personas and replicas, under either pair of names

    def _create_persona(
        self, request: SimRequest, vocabulary: Vocabulary
    ) -> SimReply:
        persona = self._catalog.create_persona(
            request.json_object(), self._now()
        )
        names = ("persona_id", "persona_name", "created_at")
        answer = {name: persona[name] for name in names}
        return json_reply(to_vocabulary(answer, vocabulary))

    def _list_personas(
        self, request: SimRequest, vocabulary: Vocabulary
    ) -> SimReply:
        kind = to_old(dict(request.query)).get("persona_type")
        found = [
            to_vocabulary(persona, vocabulary)
            for persona in reversed(self._catalog.personas.values())
            if kind in (None, persona["persona_type"])
        ]
        return self._page(request, found)

    def _get_persona(
        self, _: SimRequest, vocabulary: Vocabulary, persona_id: str
    ) -> SimReply:
        persona = self._catalog.persona(persona_id, vocabulary)
        answer = to_vocabulary(persona, vocabulary)
        if self._account.wrap_persona:
            answer = {"data": [answer]}
        return json_reply(answer)

    def _patch_persona(
        self, request: SimRequest, vocabulary: Vocabulary, persona_id: str
    ) -> SimReply:
        changed = self._catalog.patch_persona(
            persona_id, request.json_value(), vocabulary, self._now()
        )
        return SimReply(200) if changed else json_reply(_UNCHANGED, status=304)

    def _delete_persona(
        self, _: SimRequest, vocabulary: Vocabulary, persona_id: str
    ) -> SimReply:
        self._catalog.delete_persona(persona_id, vocabulary)
        return SimReply(204)

    def _list_replicas(
        self, request: SimRequest, vocabulary: Vocabulary
    ) -> SimReply:
        query = to_old(dict(request.query))
        kind = query.get("replica_type")
        model = query.get("model_name")
        ids = cast(str, query.get("replica_ids", ""))
        found = [
            to_vocabulary(replica, vocabulary)
            for replica in self._catalog.replicas.values()
            if kind in (None, replica["replica_type"])
            and model in (None, replica["model_name"])
            and (not ids or replica["replica_id"] in ids.split(","))
        ]
        return self._page(request, found)

    def _get_replica(
        self, _: SimRequest, vocabulary: Vocabulary, replica_id: str
    ) -> SimReply:
        replica = self._catalog.replica(replica_id, vocabulary)
        return json_reply(to_vocabulary(replica, vocabulary))

    def _page(
        self, request: SimRequest, found: list[Any], of_all: int | None = None
    ) -> SimReply:
        limit = _number(request.query, "limit", _DEFAULT_PAGE_SIZE, least=1)
        limit = min(limit, self._account.max_page_size)
        # Pages count from 1, but tavus-cli 0.11 asks for page 0.
        page = max(_number(request.query, "page", 1, least=0), 1)
        start = (page - 1) * limit
        data = found[start : start + limit]
        totals: dict[str, int | None] = {
            "true": len(found),
            "all": len(found) if of_all is None else of_all,
            "page": len(data),
        }
        total = totals.get(self._account.totals)
        counted = {} if total is None else {"total_count": total}
        return json_reply({"data": data, **counted})


def _named(how: str, name: str) -> str:
    """What becomes of a conversation's name."""
    match how.split():
        case ["lower"]:
            return name.lower()
        case ["bare"]:
            return re.sub(r"[^A-Za-z0-9]", "", name)
        case ["cut", chars]:
            return name[: int(chars)]
    return name


def _number(
    query: dict[str, str], name: str, default: int, *, least: int
) -> int:
    text = query.get(name, str(default))
    # More digits than any account has conversations.
    if not re.fullmatch("[0-9]{1,9}", text) or int(text) < least:
        raise Refusal(400, error=f"{name} must be an integer from {least}")
    return int(text)
