#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""Messages with a buffer: data, audio frames, video frames."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, ClassVar, TypeVar

from .msg import Body, Msg
from .values import check_int, check_text

B = TypeVar("B", bound="_BufferMsg")


class _BufferMsg(Msg):
    _defaults: ClassVar[dict[str, Any] | None] = None
    _lock_error: ClassVar[type[Exception]] = SystemError

    @classmethod
    def create(cls: type[B], name: str) -> B:
        body = Body(cls._kind, check_text(name))
        if cls._defaults is not None:
            body.fields = dict(cls._defaults)
        return cls._wrap(body)

    def alloc_buf(self, size: int) -> None:
        """Make a buffer of `size` bytes; its contents mean nothing yet."""
        body = self._valid()
        if check_int(size) <= 0:
            raise ValueError("Invalid buffer size.")
        body.buf = bytearray(size)

    def lock_buf(self) -> memoryview:
        """A writable view; the message cannot be sent until `unlock_buf`."""
        body = self._valid()
        if body.buf is None or body.locked:
            raise self._lock_error("Failed to lock buffer.")
        body.locked = True
        return memoryview(body.buf)

    def unlock_buf(self, buf: memoryview) -> None:
        body = self._valid()
        if not isinstance(buf, memoryview) or buf.obj is not body.buf:
            raise ValueError("Invalid buffer.")
        body.locked = False

    def get_buf(self) -> bytearray:
        """A copy of the buffer; empty when there is none."""
        return bytearray(self._valid().buf or b"")

    def _field(self, name: str) -> Any:
        fields = self._valid().fields
        assert fields is not None
        return fields[name]

    def _set_field(self, name: str, value: int, bits: int = 32) -> None:
        fields = self._valid().fields
        assert fields is not None
        fields[name] = check_int(value, bits)


class Data(_BufferMsg):
    """A message that expects no answer."""

    _kind: ClassVar[str] = "data"


class AudioFrameDataFmt(IntEnum):
    """How the samples of several channels are laid out."""

    INTERLEAVE = 1
    NON_INTERLEAVE = 2


class AudioFrame(_BufferMsg):
    """A piece of PCM audio."""

    _kind: ClassVar[str] = "audio_frame"
    _lock_error: ClassVar[type[Exception]] = RuntimeError
    _defaults: ClassVar[dict[str, Any] | None] = {
        "timestamp": 0,
        "sample_rate": 0,
        "samples_per_channel": 0,
        "bytes_per_sample": 0,
        "number_of_channels": 0,
        "data_fmt": 1,
        "line_size": 0,
        "eof": False,
    }

    def get_timestamp(self) -> int:
        return self._field("timestamp")

    def set_timestamp(self, timestamp: int) -> None:
        self._set_field("timestamp", timestamp, 64)

    def get_sample_rate(self) -> int:
        return self._field("sample_rate")

    def set_sample_rate(self, sample_rate: int) -> None:
        self._set_field("sample_rate", sample_rate)

    def get_samples_per_channel(self) -> int:
        return self._field("samples_per_channel")

    def set_samples_per_channel(self, samples_per_channel: int) -> None:
        self._set_field("samples_per_channel", samples_per_channel)

    def get_bytes_per_sample(self) -> int:
        return self._field("bytes_per_sample")

    def set_bytes_per_sample(self, bytes_per_sample: int) -> None:
        self._set_field("bytes_per_sample", bytes_per_sample)

    def get_number_of_channels(self) -> int:
        return self._field("number_of_channels")

    def set_number_of_channels(self, number_of_channels: int) -> None:
        self._set_field("number_of_channels", number_of_channels)

    def get_data_fmt(self) -> int:
        return self._field("data_fmt")

    def set_data_fmt(self, data_fmt: int) -> None:
        self._set_field("data_fmt", data_fmt)

    def get_line_size(self) -> int:
        return self._field("line_size")

    def set_line_size(self, line_size: int) -> None:
        self._set_field("line_size", line_size)

    def is_eof(self) -> bool:
        return bool(self._field("eof"))

    def set_eof(self, is_eof: bool) -> None:
        self._set_field("eof", is_eof)


class PixelFmt(IntEnum):
    """How a picture's pixels are coded."""

    RGB24 = 1
    RGBA = 2
    BGR24 = 3
    BGRA = 4
    I422 = 5
    I420 = 6
    NV21 = 7
    NV12 = 8


class VideoFrame(_BufferMsg):
    """One picture."""

    _kind: ClassVar[str] = "video_frame"
    _defaults: ClassVar[dict[str, Any] | None] = {
        "width": 0,
        "height": 0,
        "timestamp": 0,
        "pixel_fmt": 2,
        "eof": False,
    }

    def get_width(self) -> int:
        return self._field("width")

    def set_width(self, width: int) -> None:
        self._set_field("width", width)

    def get_height(self) -> int:
        return self._field("height")

    def set_height(self, height: int) -> None:
        self._set_field("height", height)

    def get_timestamp(self) -> int:
        return self._field("timestamp")

    def set_timestamp(self, timestamp: int) -> None:
        self._set_field("timestamp", timestamp, 64)

    def get_pixel_fmt(self) -> PixelFmt:
        return PixelFmt(self._field("pixel_fmt"))

    def set_pixel_fmt(self, pixel_fmt: int) -> None:
        self._set_field("pixel_fmt", pixel_fmt)

    def is_eof(self) -> bool:
        return bool(self._field("eof"))

    def set_eof(self, eof: bool) -> None:
        self._set_field("eof", eof)
