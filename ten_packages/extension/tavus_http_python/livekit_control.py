#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The LiveKit server: who is in a room, its end, and keys to it.

Imported only where rooms are configured: livekit-api, and tavus_python, which
the rooms' graphs run and whose rules for proxies and secrets hold here too,
are not needed else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

import aiohttp
import jwt
from livekit import api
from livekit.api.room_service import RoomService
from ten_packages.extension.tavus_python.errors import TavusError
from ten_packages.extension.tavus_python.http_session import open_session
from ten_packages.extension.tavus_python.redaction import redact

from .livekit_config import LiveKitConfig
from .livekit_rooms import Unavailable

T = TypeVar("T")

_TIMEOUT_S = 4.0
# With less than 5 s, livekit-api tries no other region of LiveKit Cloud.
_SESSION_S = 10.0
# For the first join: who is in the room gets new ones from the server.
_TOKEN_LIFE_S = 600
_CLOCK_SKEW_S = 60
# What is generated of LiveKit's protocol, pylint does not see.
# pylint: disable=no-member
_USERS = (
    api.ParticipantInfo.Kind.STANDARD,
    api.ParticipantInfo.Kind.SIP,
    api.ParticipantInfo.Kind.CONNECTOR,
)
_PUBLISH_ON_BEHALF = "lk.publish_on_behalf"  # an avatar's


class LiveKitControl:
    """Asks the LiveKit server, within a few seconds each time.

    Args:
        config: Where it is, and who we are.
    """

    def __init__(self, config: LiveKitConfig) -> None:
        self._config = config
        self._api: api.LiveKitAPI | None = None
        self._session: aiohttp.ClientSession | None = None

    def token(self, room_name: str, user_id: str, *, camera: bool) -> str:
        """A token with which a user can join one room, and no more.

        Args:
            room_name: Which.
            user_id: Who is seen there.
            camera: Whether they may show themselves, too.
        """
        grants = api.VideoGrants(
            room_join=True,
            room=room_name,
            can_publish=True,
            can_publish_sources=["microphone", *(["camera"] if camera else [])],
            can_subscribe=True,
            can_publish_data=True,
        )
        claims = (
            api.AccessToken(self._config.api_key, self._config.api_secret)
            .with_grants(grants)
            .with_kind("standard")
            .claims.asdict()
        )
        now_s = int(time.time())
        # AccessToken.to_jwt() is valid from now on: too late for a server
        # whose clock is behind.
        claims |= {
            "sub": user_id,
            "iss": self._config.api_key,
            "nbf": now_s - _CLOCK_SKEW_S,
            "exp": now_s + _TOKEN_LIFE_S,
        }
        return jwt.encode(claims, self._config.api_secret, algorithm="HS256")

    async def users(self, room_name: str) -> int:
        """How many users are in a room; agents and avatars are none.

        Raises:
            Unavailable: Nobody knows.
        """
        request = api.ListParticipantsRequest(room=room_name)
        found = await self._ask(self._room.list_participants(request))
        if found is None:
            return 0
        return sum(
            one.kind in _USERS and _PUBLISH_ON_BEHALF not in one.attributes
            for one in found.participants
        )

    async def delete(self, room_name: str) -> None:
        """Sends everybody out of a room, who then know that it is over.

        Raises:
            Unavailable: They may still be in.
        """
        # pylint: disable-next=no-member  # protobuf makes it
        request = api.DeleteRoomRequest(room=room_name)
        await self._ask(self._room.delete_room(request))

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()

    async def _ask(self, request: Awaitable[T]) -> T | None:
        """The answer; None where there is no such room."""
        try:
            return await asyncio.wait_for(request, _TIMEOUT_S)
        except api.TwirpError as error:
            if error.code == api.TwirpErrorCode.NOT_FOUND:
                return None
            problem = f"{error.code}: {error.message}"
        except TavusError as error:  # of a proxy, or a redirect
            problem = str(error)
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            problem = str(error) or "no answer"
        # What is not LiveKit, such as a proxy's page, fails in any way.
        # pylint: disable-next=broad-exception-caught
        except Exception as error:
            problem = f"not an answer of LiveKit ({type(error).__name__})"
        # Raised out here: aiohttp's own errors hold the request's headers.
        raise Unavailable(redact(problem, self._config.api_secret))

    @property
    def _room(self) -> RoomService:
        if self._api is None:  # made where the loop is
            self._session = open_session(
                timeout=aiohttp.ClientTimeout(total=_SESSION_S)
            )
            self._api = api.LiveKitAPI(
                self._config.api_url,
                self._config.api_key,
                self._config.api_secret,
                session=self._session,
            )
        return self._api.room
