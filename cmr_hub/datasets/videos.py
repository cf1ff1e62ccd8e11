"""Read key frames at scene changes, and camera metadata, from videos.

The path of a frame is that of its video with the time in seconds, `movie.mp4#t=12.5`, as in a URL.
If a file of exactly this name exists, the path denotes the file.
"""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from heapq import nlargest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

import numpy as np
from PIL import Image

from cmr_hub.datasets.camera import video_facts
from cmr_hub.errors import ImageError
from cmr_hub.outside import check_file

if TYPE_CHECKING:
    import numpy.typing as npt

START_BYTES: Final = 400
"""Number of bytes at the start of a file that identify a video."""
MOST_A_MINUTE: Final = 12
"""Maximum number of frames per minute; a shot of a film takes about five seconds."""
_CHANGE: Final = 32.0
"""Minimum difference of two scenes, as the mean difference of a colour (0-255) in a quarter.

Two photographs of Pascal Sentence differ by 41 or more in 99 % of cases, and two views of one
photograph, shifted by a tenth of its width, by 19 or less in 90 % of cases.
"""
_STEP: Final = 0.5
"""Minimum seconds between compared frames; in some videos every frame is a key frame."""
_MOST_COMPARED: Final = 2_000
_SIDE: Final = 32
_ROUNDING: Final = 0.0006
"""Seconds by which a frame may differ from its path, which is rounded to milliseconds."""
_LATEST: Final = 10.0**6
_MOST_SECONDS: Final = 300.0
"""Maximum processing time of a video; a film of two hours takes one minute."""
_MOST_BYTES: Final = 2**38
_MOST_PIXELS: Final = 36_000_000  # 8K; a decoder holds several frames
_LIMITS: Final = {"max_streams": "200", "enable_drefs": "0", "protocol_whitelist": "none"}
_COVER: Final = 0x400  # AV_DISPOSITION_ATTACHED_PIC
_NEEDS_AV: Final = 'a video needs an extra: pip install "cmr-hub[video]"'
_UNDECODED: Final = "no picture of the video can be decoded: it is damaged or encrypted"
_FRAME: Final = re.compile(r"(.+)#t=([0-9]{1,7}(?:\.[0-9]{1,3})?)", re.DOTALL)
_STARTS: Final = {
    b"\x1a\x45\xdf\xa3": "matroska",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "asf",
    b"\0\0\x01\xba": "mpeg",
    b"FLV\x01": "flv",
    b"OggS": "ogg",
}
_BOXES: Final = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_TS_SIZE: Final = 188
_TURNS: Final = {
    (0, 1, -1, 0): Image.Transpose.ROTATE_270,
    (-1, 0, 0, -1): Image.Transpose.ROTATE_180,
    (0, -1, 1, 0): Image.Transpose.ROTATE_90,
    (-1, 0, 0, 1): Image.Transpose.FLIP_LEFT_RIGHT,
    (1, 0, 0, -1): Image.Transpose.FLIP_TOP_BOTTOM,
    (0, 1, 1, 0): Image.Transpose.TRANSPOSE,
    (0, -1, -1, 0): Image.Transpose.TRANSVERSE,
}
"""Rotation of a frame by the signs of its display matrix: x' = ax + cy, y' = bx + dy."""
_SIDEWAYS: Final = [turn for (a, *_), turn in _TURNS.items() if not a]


def video_format(start: bytes) -> str | None:
    """Return FFmpeg's name of a video format, from the first bytes of a file; None for other files.

    Playlists, which refer to other files, are not supported.
    """
    if start[4:8] in _BOXES:
        return "mov"
    if start.startswith(b"RIFF") and start[8:12] == b"AVI ":
        return "avi"
    for first, size in ((0, _TS_SIZE), (4, _TS_SIZE + 4)):  # cameras prepend 4 bytes of time
        if len(start) > first + size and start[first] == start[first + size] == 0x47:
            return "mpegts"
    return next((name for magic, name in _STARTS.items() if start.startswith(magic)), None)


def frame_suffix(seconds: float) -> str:
    """Return the suffix of the path of a frame, such as `#t=12.5`."""
    return f"#t={seconds:.3f}".rstrip("0").rstrip(".")


def clock(seconds: float) -> str:
    """Format a time like video players: 0:12, 1:02:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def frame_of(path: str | Path) -> tuple[Path, float] | None:
    """Return the video and the seconds of the path of a frame; None for the path of a file."""
    match = _FRAME.fullmatch(str(path)) if "#t=" in str(path) else None
    if match is None or Path(path).exists():
        return None
    return Path(match[1]), float(match[2])


def file_of(path: Path) -> Path:
    """Return the video of a frame's path, or the path itself."""
    frame = frame_of(path)
    return path if frame is None else frame[0]


class Video:
    """An open video; a context manager.

    Args:
        path: a file. Other files that it refers to are never opened.

    Raises:
        ImageError: the file is not a readable video, or PyAV is not installed; the message is the
            reason.
    """

    def __init__(self, path: Path) -> None:
        try:
            import av
        except ImportError as error:
            raise ImageError(_NEEDS_AV) from error
        self.path = path
        try:
            check_file(path, _MOST_BYTES)
            self._file = path.open("rb")
        except OSError as error:
            raise ImageError(error.strerror or str(error)) from error
        try:
            self._container: Any = av.open(
                self._file,
                format=self._format(),
                options=_LIMITS,
                metadata_errors="replace",
                timeout=_MOST_SECONDS,
                io_open=_refuse_other,
            )
            self._stream = self._checked(self._container.streams.best("video"))
        except ImageError:
            self._file.close()
            raise
        except Exception as error:  # of FFmpeg, on damaged input
            self._file.close()
            raise ImageError(f"it is a damaged video: {_reason(error)}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._container.close()
        self._file.close()

    def _format(self) -> str:
        name = video_format(self._file.read(START_BYTES))
        if name is None:
            raise ImageError("it is not a video that can be read")
        self._file.seek(0)
        return name

    def _checked(self, stream: Any) -> Any:
        """Return the stream, ready to be decoded. Raises ImageError if it is not a video stream.

        The cover of a piece of music does not count as a video stream.
        """
        if stream is None or stream.codec_context is None or stream.disposition & _COVER:
            raise ImageError("it is a video or a sound without pictures")
        codec = stream.codec_context
        if codec.width * codec.height > _MOST_PIXELS:
            raise ImageError(
                f"it has {codec.width} × {codec.height} pixels; the limit is {_MOST_PIXELS:,} in "
                "all for a video"
            )
        codec.options = {"max_pixels": str(_MOST_PIXELS)}  # the size may change
        return stream

    @cached_property
    def _start(self) -> float:
        """Time of the first frame, which players show as 0."""
        return self._seconds(self._stream.start_time) or 0.0

    def _seconds(self, ticks: int | None) -> float | None:
        return None if ticks is None else float(ticks * self._stream.time_base)

    def scenes(self) -> list[float]:
        """Return the times, in seconds, of the first key frame of each scene.

        A scene begins where the colours of a quarter of the frame have changed since the last
        scene began. At most `MOST_A_MINUTE` are kept per minute, those with the largest changes.

        Raises:
            ImageError: no frame can be decoded.
        """
        duration = float((self._container.duration or 0) / 1_000_000)
        step = max(_STEP, min(duration, _LATEST) / _MOST_COMPARED)
        last: npt.NDArray[np.int16] | None = None
        minutes: dict[int, dict[float, float]] = {}
        for count, (seconds, frame) in enumerate(self._key_frames(step)):
            colours = _colours(frame)
            change = np.inf if last is None else np.abs(colours - last).mean(axis=1).max()
            if change >= _CHANGE:
                minutes.setdefault(int(seconds // 60), {})[seconds] = float(change)
                last = colours
            if count == _MOST_COMPARED:
                break
        if not minutes:
            raise ImageError(_UNDECODED)
        return sorted(
            seconds
            for changes in minutes.values()
            for seconds in nlargest(MOST_A_MINUTE, changes, key=lambda one: changes[one])
        )

    def frame(
        self, seconds: float, enough: int | None = None
    ) -> tuple[Image.Image, dict[str, Any]]:
        """Return the last key frame up to a time, or else the first, upright, and `video_facts`.

        Args:
            seconds: the time.
            enough: shorter side, in pixels, that the caller needs; the frame may be scaled down to
                it.

        Raises:
            ImageError: no frame can be decoded.
        """
        found = None
        with suppress(Exception):  # not every format has a table of its frames
            target = (seconds + self._start + _ROUNDING) / self._stream.time_base
            self._container.seek(int(target), stream=self._stream)
            found = self._last_until(seconds)
        if found is None:
            self._container.seek(0)
            found = self._last_until(seconds, or_first=True)
        if found is None:
            raise ImageError(_UNDECODED)
        return self._upright(found, enough)

    def _last_until(self, seconds: float, *, or_first: bool = False) -> Any:
        last = None
        for at, frame in self._key_frames():
            if at > seconds + _ROUNDING:
                return frame if last is None and or_first else last
            last = frame
            if at > seconds - _ROUNDING:
                break
        return last

    def _key_frames(self, step: float = 0.0) -> Iterator[tuple[float, Any]]:
        """Yield the time of each key frame with the frame, at least `step` seconds apart."""
        codec, end, last = self._stream.codec_context, time.monotonic() + _MOST_SECONDS, -np.inf
        packets = self._container.demux(self._stream)
        while time.monotonic() < end:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except Exception:  # the rest of the file is missing or damaged
                return
            ticks = packet.dts if packet.pts is None else packet.pts
            if not packet.is_keyframe or ticks is None:
                continue
            at = max(0.0, round((self._seconds(ticks) or 0.0) - self._start, 3))
            if at - last < step or at > _LATEST:
                continue
            try:
                # A key frame needs no other. Without an end, a decoder waits for the next ones.
                frames = [*codec.decode(packet), *codec.decode(None)]
                codec.flush_buffers()
            except Exception:  # a damaged frame
                with suppress(Exception):
                    codec.flush_buffers()
                continue
            if frames and not frames[0].is_corrupt:
                last = at
                yield at, frames[0]

    def _upright(self, frame: Any, enough: int | None) -> tuple[Image.Image, dict[str, Any]]:
        ratio = float(self._stream.sample_aspect_ratio or 1)
        # Pixels of old formats are not square.
        width = max(1, round(frame.width * ratio)) if 0.1 < ratio < 10 else frame.width
        height, scale = frame.height, 1
        while (enough and min(width, height) // (2 * scale) >= enough) or (
            width * height // scale**2 > _MOST_PIXELS
        ):
            scale *= 2
        image: Image.Image = frame.to_image(
            width=max(1, width // scale), height=max(1, height // scale), interpolation="AREA"
        )
        turn = _turn(frame)
        if turn is not None:
            image = image.transpose(turn)
        if turn in _SIDEWAYS:
            width, height = height, width
        return image, video_facts(self._container.metadata, (width, height))


def read_frame(
    path: Path, seconds: float, enough: int | None = None
) -> tuple[Image.Image, dict[str, Any]]:
    """Return `Video.frame` of a file. Raises ImageError; the message is the reason."""
    with Video(path) as video:
        return video.frame(seconds, enough)


def _refuse_other(*_arguments: object) -> NoReturn:
    raise PermissionError("a video may not refer to other files")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__


def _colours(frame: Any) -> npt.NDArray[np.int16]:
    """Return the sorted values of each colour in each quarter of a downscaled frame.

    Sorting makes the values insensitive to movement within a quarter.
    """
    small = frame.reformat(width=_SIDE, height=_SIDE, format="rgb24", interpolation="AREA")
    half = _SIDE // 2
    quarters = small.to_ndarray().astype(np.int16).reshape(2, half, 2, half, 3)
    flat = quarters.transpose(0, 2, 4, 1, 3).reshape(12, half * half)
    return np.sort(flat, axis=1)


def _turn(frame: Any) -> Image.Transpose | None:
    """Return the rotation that makes a frame upright; None if it is upright."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return None
    a, b, _, c, d = struct.unpack("=5i", bytes(matrix)[:20])
    a, b, c, d = (a, 0, 0, d) if abs(a) > abs(b) else (0, b, c, 0)
    return _TURNS.get(((a > 0) - (a < 0), (b > 0) - (b < 0), (c > 0) - (c < 0), (d > 0) - (d < 0)))
