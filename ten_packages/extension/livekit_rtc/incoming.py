#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""What users send into a room: their tracks, their data, their text."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from livekit import rtc

from .config import LiveKitConfig
from .drops import Drops
from .events import RoomEvents, TrackReason, TrackState
from .media_in import read_audio, read_video
from .participants import counts, sender

_TEXTS_AT_ONCE_MAX = 32


class Incoming:
    """Subscribes to the tracks of users, and reads them.

    Args:
        room: Not yet connected.
        config: What is wanted.
        events: Told what comes.
        drops: Told of what is dropped.
    """

    def __init__(
        self,
        room: rtc.Room,
        config: LiveKitConfig,
        events: RoomEvents,
        drops: Drops,
    ) -> None:
        self._config = config
        self._events = events
        self._drops = drops
        self._tasks: set[asyncio.Task[None]] = set()
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._reading_texts = 0
        room.on("track_published", self.subscribe)
        room.on("track_subscribed", self._subscribed)
        room.on("track_unsubscribed", self._unsubscribed)
        room.on("track_muted", self._muted)
        room.on("track_unmuted", self._unmuted)
        room.on("data_received", self._received)
        for topic in config.text_topics:
            room.register_text_stream_handler(topic, self._text)

    def subscribe(
        self,
        publication: rtc.RemoteTrackPublication,
        participant: rtc.RemoteParticipant,
    ) -> None:
        """Asks for a track, if it is a user's and wanted."""
        config = self._config
        is_wanted = (
            config.subscribe_audio
            if publication.kind == rtc.TrackKind.KIND_AUDIO
            else config.subscribe_video
        )
        if is_wanted and counts(participant, config.count_agents):
            publication.set_subscribed(True)

    async def stop(self) -> None:
        """Reads no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _subscribed(
        self,
        track: rtc.Track,
        publication: rtc.RemoteTrackPublication,
        participant: rtc.RemoteParticipant,
    ) -> None:
        source, config = sender(participant.identity), self._config
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            reading = read_audio(
                track,
                config.subscribe_audio_sample_rate,
                config.subscribe_audio_num_of_channels,
                lambda frame: self._events.audio(source, frame),
            )
        else:
            reading = read_video(
                track, lambda frame: self._events.video(source, frame)
            )
        self._readers[publication.sid] = self._keep(reading)
        if not publication.muted:
            self._tell(
                participant,
                publication,
                TrackState.PLAYING,
                TrackReason.STARTED,
            )

    def _unsubscribed(
        self,
        _track: rtc.Track,
        publication: rtc.RemoteTrackPublication,
        participant: rtc.RemoteParticipant,
    ) -> None:
        self._tell(
            participant, publication, TrackState.STOPPED, TrackReason.GONE
        )
        reader = self._readers.pop(publication.sid, None)
        if reader is not None:
            reader.cancel()

    def _muted(
        self, participant: rtc.Participant, publication: rtc.TrackPublication
    ) -> None:
        self._tell(
            participant, publication, TrackState.STOPPED, TrackReason.MUTED
        )

    def _unmuted(
        self, participant: rtc.Participant, publication: rtc.TrackPublication
    ) -> None:
        self._tell(
            participant, publication, TrackState.PLAYING, TrackReason.UNMUTED
        )

    def _tell(
        self,
        participant: rtc.Participant,
        publication: rtc.TrackPublication,
        state: TrackState,
        reason: TrackReason,
    ) -> None:
        if publication.sid in self._readers:
            is_audio = publication.kind == rtc.TrackKind.KIND_AUDIO
            media = "audio" if is_audio else "video"
            self._events.track_changed(
                media, participant.identity, state, reason
            )

    def _received(self, packet: rtc.DataPacket) -> None:
        identity = packet.participant.identity if packet.participant else ""
        self._events.data(identity, packet.topic or "", packet.data)

    def _text(self, reader: rtc.TextStreamReader, identity: str) -> None:
        if self._reading_texts >= _TEXTS_AT_ONCE_MAX:
            reader.close()
            self._drops.add("text streams in: too many at once")
            return
        self._reading_texts += 1
        self._keep(self._read_text(reader, identity))

    async def _read_text(
        self, reader: rtc.TextStreamReader, identity: str
    ) -> None:
        try:
            text = await reader.read_all()
            self._events.data(identity, reader.info.topic, text.encode())
        except rtc.StreamError:
            self._drops.add("text streams in: cut short, or too long")
        finally:
            reader.close()
            self._reading_texts -= 1

    def _keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._drops.add(
                f"tracks or texts: {type(task.exception()).__name__}"
            )
