#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Agora: the graph talks, and Tavus lends the face, in the users' channel.

Source: docs.tavus.io, Agora integration. The avatar joins the channel by
itself; what it says goes to it over a WebSocket.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

from agora_token_builder import RtcTokenBuilder

from ..bodies import merged
from ..config import TavusConfig
from ..errors import TavusAvatarError, TavusError
from ..redaction import Secret
from ..tavus_client import Conversation, Session
from . import News, Problem, Stage, Tell, Transport, Trouble
from .agora_connection import SessionOverError
from .agora_socket import AgoraSocket
from .voice import Voice

_PUBLISHER = 1
# A token outlives the call it is for, so that none runs out in one.
_TOKEN_MARGIN_S = 600


class AgoraTransport(Transport):
    """An avatar in the Agora channel that users are in.

    Args:
        config: The validated properties.
        log: Where trouble is reported.
    """

    def __init__(self, config: TavusConfig, log: logging.Logger) -> None:
        super().__init__(log)
        self.config = config
        self.voice = self._voice = Voice(log)

    def stage(self, tell: Tell) -> Stage:
        return AgoraStage(self, self._voice, tell)

    def is_avatar(self, user_id: str) -> bool:
        return user_id == self.config.agora_avatar_uid

    def token(self) -> Secret:
        """What lets the avatar into the channel, as of now."""
        return Secret(self._token())

    def _token(self) -> str:
        config = self.config
        certificate = config.agora_app_certificate.get_secret_value()
        ready = config.agora_token.get_secret_value()
        if ready or not certificate:
            # A project without a certificate takes its app id, as TEN does.
            return ready or config.agora_app_id
        expires_at = int(time.time()) + config.max_call_duration
        return RtcTokenBuilder.buildTokenWithAccount(
            config.agora_app_id,
            certificate,
            config.channel,
            config.agora_avatar_uid,
            _PUBLISHER,
            expires_at + _TOKEN_MARGIN_S,
        )


class AgoraStage(Stage):
    """One session, and the socket over which it is told what to say."""

    def __init__(
        self, transport: AgoraTransport, voice: Voice, tell: Tell
    ) -> None:
        self._transport = transport
        self._voice = voice
        self._tell = tell
        self._task: asyncio.Task[None] | None = None
        self._socket: AgoraSocket | None = None
        self._closed = False

    async def open(self) -> Mapping[str, Any]:
        return _with_token(self._transport)

    def began(self, conversation: Conversation) -> None:
        if not self._closed and isinstance(conversation, Session):
            self._voice.losses.listeners.add(self._lost_audio)
            self._socket = self._socket_of(conversation)
            self._task = asyncio.create_task(self._run(self._socket))

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._voice.losses.listeners.discard(self._lost_audio)
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            self._transport.leave(self._leave(self._task))
            self._task = None

    async def _leave(self, task: asyncio.Task[None]) -> None:
        await asyncio.gather(task, return_exceptions=True)

    def _socket_of(self, session: Session) -> AgoraSocket:
        transport = self._transport

        def hello() -> dict[str, Any]:
            return merged(session.started_with, _with_token(transport))

        return AgoraSocket(
            session,
            hello,
            self._voice,
            self._say,
            transport.log,
            connect_timeout_s=transport.config.connect_timeout_s,
            plain=transport.config.base_url.startswith("http:"),
        )

    async def _run(self, socket: AgoraSocket) -> None:
        transport = self._transport
        try:
            await socket.run()
        except SessionOverError as over:
            self._fail("session_over", TavusAvatarError(str(over)))
        except TavusError as error:
            self._fail("session_over", error, again=False)
        # pylint: disable-next=broad-exception-caught
        except Exception as error:
            transport.log.error("the Agora session failed", exc_info=error)
            self._fail(
                "internal", TavusAvatarError(f"internal error: {error!r}")
            )

    def _fail(self, reason: str, error: TavusError, again: bool = True) -> None:
        if not self._closed:
            self._tell(Trouble(reason, error, again))

    def _lost_audio(self, error: TavusError) -> None:
        if not self._closed:
            self._tell(Problem(error))

    def _say(
        self,
        what: str,
        properties: Mapping[str, Any],
        metrics: Mapping[str, float],
    ) -> None:
        if not self._closed:
            self._tell(News(f"agora.{what}", properties, metrics))


def _with_token(transport: AgoraTransport) -> dict[str, Any]:
    return {"agora_settings": {"token": transport.token()}}
