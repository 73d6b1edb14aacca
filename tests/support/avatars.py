#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The simulator with real avatars, and an agent that speaks through one.

The agent is the reference: livekit-agents' own audio output for avatars.
"""

import asyncio
import io
import wave
from collections.abc import Callable
from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents.voice.avatar import DataStreamAudioOutput
from livekit.agents.voice.io import PlaybackFinishedEvent
from support.livekit import LiveKitServer, Peer
from support.livekit_peer import WAIT_S
from support.sounds import Pcm
from tavus_sim import AvatarVideo, SimRequest, Simulator, ThreadedSim

AVATAR = "tavus-avatar-agent"
RATE_HZ = 24_000
SMALL = AvatarVideo(320, 180, 10)
# The worker imports for seconds, and more on a machine that is busy.
READY_S = 60.0


class WatchedSimulator(Simulator):
    """One whose avatars' reports can be waited for."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._watchers: set[Callable[[], None]] = set()

    def avatar_reports(
        self, conversation_id: str, report: dict[str, Any]
    ) -> None:
        super().avatar_reports(conversation_id, report)
        for tell in list(self._watchers):
            tell()

    async def until(
        self, come: Callable[[], Any], timeout_s: float = WAIT_S
    ) -> None:
        """Waits, from report to report, until that is so."""
        news = asyncio.Event()
        loop = asyncio.get_running_loop()

        def tell() -> None:
            loop.call_soon_threadsafe(news.set)

        async def wait() -> None:
            while not come():
                await news.wait()
                news.clear()

        self._watchers.add(tell)
        try:
            await asyncio.wait_for(wait(), timeout_s)
        finally:
            self._watchers.remove(tell)


class Stage:
    """A LiveKit server and a simulator that sends avatars into its rooms."""

    def __init__(
        self,
        server: LiveKitServer,
        sim: ThreadedSim,
        simulator: WatchedSimulator,
    ) -> None:
        self.server = server
        self.sim = sim
        self.simulator = simulator

    def create(
        self,
        room: str,
        *,
        token: str | None = None,
        identity: str = AVATAR,
        **properties: Any,
    ) -> str:
        """Opens a conversation in a room; returns its id."""
        token = token or self.server.token(
            identity,
            room,
            kind="agent",
            attributes={"lk.publish_on_behalf": "agent"},
        )
        wish = {
            "persona_id": "pb87e71797da",
            "properties": {
                "livekit_ws_url": self.server.url,
                "livekit_room_token": token,
                "participant_left_timeout": 60,
                **properties,
            },
        }
        request = SimRequest.of("POST", "/v2/conversations", wish)
        reply = self.simulator.handle(request)
        assert reply.status == 200, reply.body
        return reply.json()["conversation_id"]

    def end(self, conversation_id: str) -> None:
        path = f"/v2/conversations/{conversation_id}/end"
        reply = self.simulator.handle(SimRequest.of("POST", path))
        assert reply.status == 200, reply.body

    def seen(self, conversation_id: str) -> dict[str, Any]:
        """All the simulator knows about a conversation."""
        path = f"/sim/conversations/{conversation_id}"
        return self.simulator.handle(SimRequest.of("GET", path)).json()

    def heard(self, conversation_id: str) -> Pcm:
        """The audio its avatar was sent, at ``RATE_HZ``."""
        path = f"/sim/conversations/{conversation_id}/heard.wav"
        reply = self.simulator.handle(SimRequest.of("GET", path))
        with wave.open(io.BytesIO(reply.body)) as file:
            assert (file.getframerate(), file.getnchannels()) == (RATE_HZ, 1)
            return np.frombuffer(file.readframes(file.getnframes()), np.int16)

    async def until(
        self, conversation_id: str, timeout_s: float = WAIT_S, **wanted: Any
    ) -> None:
        """Waits until its avatar is so, such as ``state="visible"``."""

        def come() -> bool:
            avatar = self.seen(conversation_id)["avatar"]
            return {**avatar, **wanted} == avatar

        await self.simulator.until(come, timeout_s)


class Agent(Peer):
    """Speaks through the avatar in its room; a context manager.

    Args:
        server: whose room.
        room: the room's name.
        avatar: the avatar's identity. The reference keeps its handlers by
            this name, so two agents of a process need two names.
    """

    def __init__(
        self, server: LiveKitServer, room: str, avatar: str = AVATAR
    ) -> None:
        super().__init__(server, room, "agent", kind="agent")
        self.avatar = avatar
        self.starts = 0
        self.finished: list[PlaybackFinishedEvent] = []
        self._output: DataStreamAudioOutput | None = None

    async def __aenter__(self) -> "Agent":
        await super().__aenter__()
        return self

    @property
    def output(self) -> DataStreamAudioOutput:
        """Made when it is first used: from then on it waits for an avatar."""
        if self._output is None:
            self._output = DataStreamAudioOutput(
                self.room,
                destination_identity=self.avatar,
                sample_rate=RATE_HZ,
                wait_remote_track=rtc.TrackKind.KIND_VIDEO,
                wait_playback_start=True,
            )
            self._output.on("playback_started", self._started)
            self._output.on("playback_finished", self._finished)
        return self._output

    async def push(self, pcm: Pcm, rate_hz: int = RATE_HZ) -> None:
        """Sends audio, faster than it is played; waits for the avatar."""
        step = rate_hz // 20
        for start in range(0, pcm.size, step):
            part = pcm[start : start + step]
            frame = rtc.AudioFrame(part.tobytes(), rate_hz, 1, part.size)
            await asyncio.wait_for(self.output.capture_frame(frame), WAIT_S)

    async def utter(self, pcm: Pcm) -> None:
        """Sends a whole utterance."""
        await self.push(pcm)
        self.output.flush()

    async def until_played(self, count: int = 1) -> PlaybackFinishedEvent:
        """Waits until so many utterances are over; returns the last."""
        await self.until(lambda: len(self.finished) >= count)
        return self.finished[count - 1]

    def _started(self, *_: object) -> None:
        self.starts += 1
        self._tell()

    def _finished(self, event: PlaybackFinishedEvent) -> None:
        self.finished.append(event)
        self._tell()


def stages(server: LiveKitServer) -> Any:
    """One that runs, for a fixture of any scope."""
    simulator = WatchedSimulator()
    with ThreadedSim(simulator, avatars=SMALL) as sim:
        sim.wait_for_worker(READY_S)
        yield Stage(server, sim, simulator)
