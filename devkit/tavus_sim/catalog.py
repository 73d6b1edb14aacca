#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Personas and replicas, alias PALs and faces.

Tavus renamed both in 2026; ids and values are the same, and either family of
paths shows every object. Here each is kept under its old names and translated
at the door.
"""

import random
from dataclasses import dataclass
from typing import Any

from .conversation import Vocabulary
from .json_patch import PatchError, apply_patch
from .messages import Refusal, iso

_NEW_NAMES = {
    "persona_id": "pal_id",
    "persona_name": "pal_name",
    "persona_type": "pal_type",
    "default_replica_id": "default_face_id",
    "replica_id": "face_id",
    "replica_name": "face_name",
    "replica_type": "face_type",
    "replica_ids": "face_ids",
}
_OLD_NAMES = {new: old for old, new in _NEW_NAMES.items()}
_FLOW = ("replica_interruptibility", "face_interruptibility")
_MODES = ("full", "echo", "speech-to-speech")
_LONG_AGO = iso(1_767_225_600)  # 2026-01-01

DEFAULT_PERSONA = "pcb7a34da5fe"


@dataclass(frozen=True)
class StockReplica:
    """A face that every account has."""

    replica_id: str
    name: str
    model: str


STOCK_REPLICAS = (
    StockReplica("r9d30b0e55ac", "Simulated Luna", "phoenix-4"),
    StockReplica("rf4703150052", "Simulated Charlie", "phoenix-4"),
    StockReplica("r4067604db72", "Simulated Anna", "phoenix-4"),
    StockReplica("r90bbd427f71", "Simulated Hassaan", "phoenix-3"),
)


def _stock_persona(
    persona_id: str, name: str, mode: str, **more: Any
) -> dict[str, Any]:
    return {
        "persona_id": persona_id,
        "persona_name": name,
        "persona_type": "system",
        "pipeline_mode": mode,
        "system_prompt": "",
        "layers": {},
        "created_at": _LONG_AGO,
        "updated_at": _LONG_AGO,
        **more,
    }


def to_old(body: dict[str, Any]) -> dict[str, Any]:
    """The same object under its old names.

    Raises:
        Refusal: 400 when a thing is there under both names.
    """
    for new, old in _OLD_NAMES.items():
        if new in body and old in body:
            raise Refusal(400, message=f"Cannot have both {old} and {new}")
    return _renamed(body, _OLD_NAMES, _FLOW[1], _FLOW[0])


def to_vocabulary(
    body: dict[str, Any], vocabulary: Vocabulary
) -> dict[str, Any]:
    """An object that is under its old names, as a family of paths shows it."""
    if vocabulary == "old":
        return body
    return _renamed(body, _NEW_NAMES, *_FLOW)


def _renamed(
    body: dict[str, Any], names: dict[str, str], flow: str, to: str
) -> dict[str, Any]:
    result = {names.get(key, key): value for key, value in body.items()}
    layers = result.get("layers")
    if isinstance(layers, dict):
        inner = layers.get("conversational_flow")
        if isinstance(inner, dict):
            inner = {to if k == flow else k: v for k, v in inner.items()}
            result["layers"] = {**layers, "conversational_flow": inner}
    return result


class Catalog:
    """The personas and replicas of the simulated account."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.replicas = {
            stock.replica_id: {
                "replica_id": stock.replica_id,
                "replica_name": stock.name,
                "replica_type": "system",
                "model_name": stock.model,
                "status": "completed",
                "training_progress": "100/100",
                "thumbnail_video_url": "",
                "created_at": _LONG_AGO,
                "updated_at": _LONG_AGO,
                "error_message": None,
            }
            for stock in STOCK_REPLICAS
        }
        livekit = {"transport": {"transport_type": "livekit"}}
        stock_personas = (
            _stock_persona(
                DEFAULT_PERSONA,
                "Life Coach",
                "full",
                system_prompt="You are a simulated life coach.",
                default_replica_id="r90bbd427f71",
            ),
            _stock_persona("pipecat0", "Pipecat", "echo"),
            _stock_persona("pipecat-stream", "Pipecat stream", "echo"),
            _stock_persona(
                "pb87e71797da",
                "LiveKit",
                "echo",
                layers=livekit,
                default_replica_id="r4067604db72",
            ),
        )
        self.personas = {p["persona_id"]: p for p in stock_personas}

    def persona(self, persona_id: str, vocabulary: Vocabulary) -> dict:
        """One persona, under its old names.

        Raises:
            Refusal: 400 when there is none.
        """
        persona = self.personas.get(persona_id)
        if persona is None:
            word = "pal_id" if vocabulary == "new" else "persona_id"
            raise Refusal(400, error=f"Invalid {word}")
        return persona

    def replica(self, replica_id: str, vocabulary: Vocabulary) -> dict:
        """One replica, under its old names.

        Raises:
            Refusal: 400 when there is none.
        """
        replica = self.replicas.get(replica_id)
        if replica is None:
            word = "face_id" if vocabulary == "new" else "replica_id"
            raise Refusal(400, error=f"Invalid {word}")
        return replica

    def create_persona(self, body: dict[str, Any], now: float) -> dict:
        """Add a persona.

        Args:
            body: the request, in either vocabulary.
            now: epoch seconds.

        Returns:
            The persona, under its old names.

        Raises:
            Refusal: 400 when it is not valid.
        """
        wish = to_old(body)
        persona_id = f"p{self._rng.getrandbits(44):011x}"
        own = {
            "persona_id": persona_id,
            "persona_type": "user",
            "created_at": iso(now),
            "updated_at": iso(now),
        }
        persona = {
            "persona_name": "New persona",
            "system_prompt": "",
            "pipeline_mode": "full",
            "layers": {},
            **{key: value for key, value in wish.items() if value is not None},
            **own,
        }
        self._check_persona(persona)
        self.personas[persona_id] = persona
        return persona

    def patch_persona(
        self,
        persona_id: str,
        patch: Any,
        vocabulary: Vocabulary,
        now: float,
    ) -> bool:
        """Apply a JSON patch written in the vocabulary of the path.

        Returns:
            False when it changes nothing.

        Raises:
            Refusal: 400 for a stock or unknown persona or an invalid result,
                422 for a patch that is malformed or does not fit.
        """
        persona = self._own_persona(persona_id, vocabulary)
        try:
            patched = apply_patch(to_vocabulary(persona, vocabulary), patch)
        except PatchError:
            patched = None
        if not isinstance(patched, dict):
            raise Refusal(422, message="Invalid JSON patch format")
        result = to_old(patched)
        if result == persona:
            return False
        for fixed in ("persona_id", "persona_type", "created_at"):
            if result.get(fixed) != persona[fixed]:
                raise Refusal(422, message="Invalid JSON patch format")
        self._check_persona(result)
        self.personas[persona_id] = {**result, "updated_at": iso(now)}
        return True

    def delete_persona(self, persona_id: str, vocabulary: Vocabulary) -> None:
        """Remove one of the account's own personas.

        Raises:
            Refusal: 400 for a stock or unknown persona.
        """
        self._own_persona(persona_id, vocabulary)
        del self.personas[persona_id]

    def _own_persona(self, persona_id: str, vocabulary: Vocabulary) -> dict:
        persona = self.persona(persona_id, vocabulary)
        if persona["persona_type"] != "user":
            word = "pal_id" if vocabulary == "new" else "persona_id"
            raise Refusal(400, error=f"Invalid {word}")
        return persona

    def _check_persona(self, persona: dict[str, Any]) -> None:
        replica_id = persona.get("default_replica_id")
        if replica_id is not None and replica_id not in self.replicas:
            raise Refusal(400, error="Invalid replica_uuid")
        mode = persona.get("pipeline_mode")
        if mode not in _MODES:
            raise Refusal(
                400, error=f"pipeline_mode must be one of {', '.join(_MODES)}"
            )
        if mode == "full" and not persona.get("system_prompt"):
            raise Refusal(400, error="system_prompt is required")
        if not isinstance(persona.get("layers"), dict):
            raise Refusal(400, error="layers must be an object")
