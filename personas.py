#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Finds or makes the persona that the configuration describes, once."""

from __future__ import annotations

import asyncio
import logging

from .config import TavusConfig
from .errors import TavusError
from .tavus_client import Persona, TavusClient


class PersonaKeeper:
    """The persona of ``auto_create_persona``, or the one that only lends its
    face to a LiveKit room, found again by its name.

    The name carries a hash of the content, so the same description is the
    same persona on every host and at every boot, and a changed one is new.

    Attributes:
        persona_id: Its id, empty until it is known.
    """

    def __init__(
        self, config: TavusConfig, client: TavusClient, log: logging.Logger
    ) -> None:
        self._config = config
        self._client = client
        self._log = log
        self._lock = asyncio.Lock()
        self.persona_id = ""

    async def ensure(self) -> str:
        """The id of the persona.

        Returns:
            The id, or "" where no persona is to be found or made.

        Raises:
            TavusError: It can be neither found nor made.
        """
        if not self._config.makes_persona:
            return ""
        async with self._lock:
            if not self.persona_id:
                self.persona_id = await self._find_or_make()
            return self.persona_id

    async def _find_or_make(self) -> str:
        body = self._config.persona_body()
        name = str(body["persona_name"])
        found = await self._find(name)
        if not found:
            try:
                made = await self._client.create_persona(body)
            except TavusError as error:
                found = await self._find(name) if error.sent else []
                if not found:
                    raise
                return found[0].persona_id
            self._log.info("made the persona %s (%s)", name, made.persona_id)
            # Another worker may have made it in the same moment: all take
            # the oldest, and its maker removes a younger one.
            found = await self._find(name) or [made]
            if found[0].persona_id != made.persona_id:
                await self._remove(made.persona_id)
        return found[0].persona_id

    async def _remove(self, persona_id: str) -> None:
        try:
            await self._client.delete_persona(persona_id)
        except TavusError as error:
            self._log.warning(
                "cannot remove the spare persona %s: %s", persona_id, error
            )

    async def _find(self, name: str) -> list[Persona]:
        """The personas of that name, oldest first."""
        found = [
            persona
            async for persona in self._client.list_personas(persona_type="user")
            if persona.persona_name == name
        ]
        return sorted(found, key=lambda p: (p.created_at, p.persona_id))
