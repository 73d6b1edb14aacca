#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The REST side of Agora sessions: start and stop, and what tests may see."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .agora_rules import STOP, BadField, check_fields, check_start
from .agora_session import Session
from .agora_sessions import BY_CLIENT, SessionBook
from .catalog import Catalog
from .messages import Refusal, SimReply, SimRequest, json_reply
from .routes import Route

if TYPE_CHECKING:
    from .api import Account
    from .simulator import Simulator

SOCKET_PATH = "/v2/conversations/agora/ws"
_TITLES = {400: "Invalid request", 401: "Unauthorized", 403: "Forbidden"}


class SessionRefusal(Refusal):
    """A refusal with the three fields that the Agora protocol gives it."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, message=message)
        title = _TITLES.get(status, "Not found")
        body = {"error": title, "message": message, "code": code}
        self.reply = json_reply(body, status=status)


class AgoraApi:
    """The endpoints below ``/v2/conversations/agora``.

    Args:
        account: whose key is accepted.
        book: the sessions.
        catalog: the faces and personas an avatar can be.
        check_slot: raises when the account may open nothing more.
        now: epoch seconds.
    """

    def __init__(
        self,
        account: "Account",
        book: SessionBook,
        catalog: Catalog,
        check_slot: Callable[[], None],
        now: Callable[[], float],
    ) -> None:
        self._account = account
        self._book = book
        self._catalog = catalog
        self._check_slot = check_slot
        self._now = now

    def perform(self, request: SimRequest, route: Route) -> SimReply:
        """Check the key, then act.

        Raises:
            Refusal: what Tavus would refuse.
        """
        key = request.headers.get("x-api-key")
        if not key:
            raise SessionRefusal(
                403, "MISSING_API_KEY", "API key header missing"
            )
        if self._account.api_key not in (None, key):
            raise SessionRefusal(401, "INVALID_API_KEY", "Invalid API key")
        try:
            body = _json_object(request)
            if route.action == "start":
                return self._start(body)
            return self._stop(body)
        except BadField as exc:
            raise SessionRefusal(400, "VALIDATION_ERROR", str(exc)) from None

    def _start(self, body: dict[str, Any]) -> SimReply:
        fields = check_start(body)
        avatar_id = fields["avatar_id"]
        catalog = self._catalog
        if avatar_id not in catalog.replicas | catalog.personas:
            raise BadField("avatar_id is no face and no persona of the account")
        self._check_slot()
        session = self._book.start(fields, self._now())
        host = self._account.base_url.partition("://")[2]
        return json_reply(
            {
                "session_id": session.session_id,
                "websocket_address": f"ws://{host}{SOCKET_PATH}",
                "session_token": session.token,
            }
        )

    def _stop(self, body: dict[str, Any]) -> SimReply:
        check_fields(body, STOP)
        session = self._book.active.get(body["session_id"])
        if session is None:
            raise SessionRefusal(
                404,
                "SESSION_NOT_FOUND",
                "Session not found or already terminated",
            )
        if session.token != body["session_token"]:
            raise wrong_token()
        self._book.end(session, self._now(), "client", BY_CLIENT)
        return json_reply(
            {"status": "success", "message": "Session terminated successfully"}
        )


def wrong_token() -> SessionRefusal:
    """What whoever shows a token that is not a session's is told."""
    return SessionRefusal(401, "INVALID_SESSION_TOKEN", "Invalid session token")


def session_view(simulator: "Simulator", session_id: str) -> SimReply:
    """All there is to know about a session, for tests.

    Raises:
        Refusal: for an unknown session.
    """
    session = _session(simulator, session_id)
    return json_reply(session.view(simulator.now()))


def session_wav(simulator: "Simulator", session_id: str) -> SimReply:
    """What the avatar of a session was sent, the end of it.

    Raises:
        Refusal: for an unknown session.
    """
    wav = _session(simulator, session_id).heard.wav()
    return SimReply(200, wav, {"content-type": "audio/wav"})


def _session(simulator: "Simulator", session_id: str) -> Session:
    session = simulator.sessions.all.get(session_id)
    if session is None:
        raise Refusal(404, error="Unknown session_id")
    return session


def _json_object(request: SimRequest) -> dict[str, Any]:
    try:
        return request.json_object()
    except Refusal as refusal:
        raise BadField(str(refusal)) from None
