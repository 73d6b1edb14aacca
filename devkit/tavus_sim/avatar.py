#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""``python -m tavus_sim.avatar WIDTHxHEIGHT@FPS``: avatars in LiveKit rooms.

Commands come on stdin and reports go to stdout, one JSON object a line;
``worker.py`` starts it. It ends when its stdin does.

A command has ``do`` and ``id``, which names the avatar.

| ``do`` | |
|---|---|
| ``join`` | ``url``, ``token``, ``on_behalf_of``, ``fault``, ``delay_ms`` |
| ``leave`` | leaves the room |

A report has ``event``, and ``id`` but for ``ready``.

| ``event`` | |
|---|---|
| ``ready`` | avatars can join at once |
| ``joined``, ``visible`` | it is in the room; its video is published |
| ``users`` | ``count`` of the participants that are no agents |
| ``audio`` | what it is sent: ``pcm`` (base64), ``sample_rate``, ``channels`` |
| ``segment_end``, ``cleared`` | the sender ended a stream, interrupted |
| ``playback_started`` | it speaks |
| ``playback_finished`` | after ``position_s``; ``interrupted`` or not |
| ``app_message`` | a ``message`` of the topic ``app_messages`` |
| ``left``, ``failed`` | the last one, with ``reason``, ``detail`` |
| ``died`` | the last one, of the fault |
"""

import asyncio
import base64
import contextlib
import json
import logging
import math
import os
import sys
from collections.abc import Callable
from typing import Any

from livekit import rtc
from livekit.agents import utils
from livekit.agents.voice.avatar import (
    AudioSegmentEnd,
    AvatarOptions,
    AvatarRunner,
    DataStreamAudioReceiver,
)

from .face import SpeakingFace, draw_all
from .worker import AvatarVideo

# tavus-api.md 3.2: what is sent to Tavus's avatar is 24 kHz mono.
RATE_HZ = 24_000
_CONNECT_TIMEOUT_S = 5.0  # of each of the SDK's attempts
_LEAVE_TIMEOUT_S = 5.0
_TOPIC = "app_messages"
_USERS = (
    rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD,
    rtc.ParticipantKind.PARTICIPANT_KIND_SIP,
)

_ODD_REPORTS = (
    *(
        f'{{"playback_position": {position}, "interrupted": {interrupted}}}'
        for position in ("NaN", "-Infinity", "1e400", f"1{'0' * 400}", "-5")
        for interrupted in ("false", "true")
    ),
    '{"playback_position": 0.1, "interrupted": "false"}',
    '{"playback_position": 99.5, "interrupted": false}',
    '{"playback_position": true, "interrupted": []}',
    '{"playback_position": {"s": 1}}',
    "[" * 2000,
    "[]",
    "",
)

Tell = Callable[..., None]


class _Receiver(DataStreamAudioReceiver):
    """The reference one, telling what it notifies, and deaf to no room.

    The reference keeps one interruption handler for each sender's *name* in
    a process. Here every room has a sender of the same name.
    """

    def __init__(self, avatar: "Avatar", room: rtc.Room, sender: str) -> None:
        super().__init__(
            room,
            sender_identity=sender,
            # One piece of sound for one picture.
            frame_size_ms=1000 // avatar.video.fps,
        )
        self._avatar = avatar

    @classmethod
    def _register_clear_buffer_rpc(
        cls, room: rtc.Room, *, caller_identity: str, handler: Any
    ) -> None:
        del caller_identity  # the handler checks it
        room.local_participant.register_rpc_method("lk.clear_buffer", handler)

    def notify_playback_started(self) -> None:
        super().notify_playback_started()
        self._avatar.playback_started()
        self._avatar.babble()

    def notify_playback_finished(
        self, playback_position: float, interrupted: bool
    ) -> None:
        told_s = playback_position
        if self._avatar.fault == "avatar_odd_reports":
            told_s = math.nan
            super().notify_playback_finished(told_s, interrupted)
        if self._avatar.fault != "avatar_silent_finish":
            super().notify_playback_finished(told_s, interrupted)
        self._avatar.babble()
        self._avatar.tell(
            "playback_finished",
            position_s=playback_position,
            interrupted=interrupted,
        )


class Avatar:
    """One avatar in one room, from joining to leaving.

    Args:
        command: the ``join`` command.
        video: its picture.
        tell: takes its reports.
    """

    def __init__(
        self, command: dict[str, Any], video: AvatarVideo, tell: Tell
    ) -> None:
        self.video = video
        self.fault = command["fault"]
        self._id = command["id"]
        self._command = command
        self._tell = tell
        self._room = rtc.Room()
        self._users: int | None = None
        self._last: dict[str, Any] = {}
        self._babbling: set[asyncio.Task[None]] = set()
        self._task = asyncio.create_task(self._live(), name=self._id)
        # Here, for a task that is cancelled at once does not even begin.
        self._task.add_done_callback(lambda _: self.tell(**self._last))

    def tell(self, event: str, **facts: Any) -> None:
        """Report something."""
        self._tell(event, id=self._id, **facts)

    def leave(self, reason: str) -> None:
        """Leave the room."""
        self._end(event="left", reason=reason)

    async def gone(self) -> None:
        """Wait until it has left."""
        await asyncio.wait([self._task])

    def playback_started(self) -> None:
        """It has begun to speak."""
        self.tell("playback_started")
        if self.fault == "avatar_dies":
            delay_s = self._command["delay_ms"] / 1000
            loop = asyncio.get_running_loop()
            loop.call_later(delay_s, lambda: self._end(event="died"))

    def babble(self) -> None:
        """Report what is not so, if that is its fault."""
        if self.fault == "avatar_odd_reports":
            task = asyncio.create_task(self._babble())
            self._babbling.add(task)
            task.add_done_callback(self._babbling.discard)

    async def _babble(self) -> None:
        await asyncio.gather(
            *(
                self._room.local_participant.perform_rpc(
                    destination_identity=self._command["on_behalf_of"],
                    method="lk.playback_finished",
                    payload=payload,
                )
                for payload in _ODD_REPORTS
            ),
            return_exceptions=True,
        )

    def _end(self, **last_report: Any) -> None:
        if not self._last:
            self._last = last_report
            self._task.cancel()

    async def _live(self) -> None:
        try:
            await self._join()
            if self.fault == "avatar_no_video":
                await asyncio.Event().wait()
            await self._perform()
        except asyncio.CancelledError:
            pass
        except Exception as exc:  # pylint: disable=broad-exception-caught
            # Whatever it is, the others go on.
            token = self._command["token"]
            detail = f"{type(exc).__name__}: {exc}".replace(token, "***")
            self._last = self._last or {"event": "failed", "detail": detail}
        self._room.off("disconnected", self._disconnected)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._room.disconnect(), _LEAVE_TIMEOUT_S)

    async def _join(self) -> None:
        command, room = self._command, self._room
        if self.fault == "avatar_slow_join":
            await asyncio.sleep(command["delay_ms"] / 1000)
        room.on("participant_connected", self._count)
        room.on("participant_disconnected", self._count)
        room.on("local_track_published", self._published)
        room.on("data_received", self._data)
        room.on("disconnected", self._disconnected)
        await self._connect()
        self.tell("joined")
        self._count()

    async def _connect(self) -> None:
        command = self._command
        connecting = asyncio.ensure_future(
            self._room.connect(
                command["url"],
                command["token"],
                rtc.RoomOptions(
                    auto_subscribe=False, connect_timeout=_CONNECT_TIMEOUT_S
                ),
            )
        )
        try:
            await asyncio.shield(connecting)
        except asyncio.CancelledError:
            # The SDK kills the process when connecting is cancelled.
            with contextlib.suppress(rtc.ConnectError):
                await connecting
            raise

    async def _perform(self) -> None:
        face = SpeakingFace(
            self.video, self._heard, lambda: self.tell("cleared")
        )
        sender = self._command["on_behalf_of"]
        # The runner would wait too, but cannot be closed while it does.
        await utils.wait_for_participant(self._room, identity=sender)
        runner = AvatarRunner(
            self._room,
            audio_recv=_Receiver(self, self._room, sender),
            video_gen=face,
            options=AvatarOptions(
                video_width=self.video.width,
                video_height=self.video.height,
                video_fps=self.video.fps,
                audio_sample_rate=RATE_HZ,
                audio_channels=1,
            ),
        )
        try:
            await runner.start()
            await runner.wait_for_complete()
        finally:
            await runner.aclose()

    def _heard(self, frame: rtc.AudioFrame | AudioSegmentEnd) -> None:
        if isinstance(frame, AudioSegmentEnd):
            self.tell("segment_end")
            return
        self.tell(
            "audio",
            pcm=base64.b64encode(bytes(frame.data)).decode(),
            sample_rate=frame.sample_rate,
            channels=frame.num_channels,
        )
        if (frame.sample_rate, frame.num_channels) != (RATE_HZ, 1):
            raise ValueError(
                f"the audio must be {RATE_HZ} Hz mono, not "
                f"{frame.sample_rate} Hz with {frame.num_channels} channels"
            )

    def _count(self, *_: object) -> None:
        people = self._room.remote_participants.values()
        users = sum(person.kind in _USERS for person in people)
        if users != self._users:
            self._users = users
            self.tell("users", count=users)

    def _published(
        self, publication: rtc.LocalTrackPublication, _: object
    ) -> None:
        if publication.kind == rtc.TrackKind.KIND_VIDEO:
            self.tell("visible")

    def _data(self, packet: rtc.DataPacket) -> None:
        if packet.topic == _TOPIC:
            try:
                message = json.loads(packet.data)
            except ValueError:
                message = packet.data.decode(errors="replace")
            self.tell("app_message", message=message)

    def _disconnected(self, reason: Any) -> None:
        self.leave(rtc.DisconnectReason.Name(reason))


async def _serve(video: AvatarVideo, tell: Tell) -> None:
    avatars: dict[str, Avatar] = {}
    loop = asyncio.get_running_loop()
    stdin = asyncio.StreamReader()
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin
    )
    draw_all(video)
    tell("ready")
    async for line in stdin:
        command = json.loads(line)
        avatar_id = command["id"]
        if command["do"] == "join":
            avatars[avatar_id] = Avatar(command, video, tell)
        else:
            avatars.pop(avatar_id).leave("the conversation is over")
    for avatar in avatars.values():
        avatar.leave("the simulator is over")
    await asyncio.gather(*(avatar.gone() for avatar in avatars.values()))


def main() -> None:
    """Serve until stdin ends."""
    logging.basicConfig(format="avatar: %(message)s", level=logging.WARNING)
    # Reports have stdout for themselves, whatever a library prints.
    with os.fdopen(os.dup(1), "w", buffering=1) as out:
        os.dup2(2, 1)

        def tell(event: str, **facts: Any) -> None:
            out.write(json.dumps({"event": event, **facts}) + "\n")

        asyncio.run(_serve(AvatarVideo.parse(sys.argv[1]), tell))


if __name__ == "__main__":
    main()
