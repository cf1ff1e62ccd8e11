"""Create tiny videos of plain colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

RED, GREEN, BLUE = (250, 10, 10), (10, 250, 10), (10, 10, 250)
RATE = 10


def film(
    path: Path,
    colours: Sequence[tuple[int, int, int]] = (RED, GREEN, BLUE),
    *,
    form: str = "mp4",
    codec: str = "libx264",
    size: tuple[int, int] = (64, 48),
    times: Sequence[int] = (),
    turned: Sequence[int] = (),
    tags: Mapping[str, str] | None = None,
    options: Mapping[str, str] | None = None,
) -> Path:
    """Write a video with one second of each colour and a key frame every second.

    Args:
        times: times of all frames in tenths of seconds; by default every tenth.
        turned: the elements a, b, c and d of a display matrix.
    """
    with av.open(path, "w", format=form, options=dict(options or {})) as container:
        container.metadata.update(tags or {})
        stream = container.add_stream(codec, rate=25 if codec == "mpeg2video" else RATE)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.gop_size = RATE
        if turned:
            a, b, c, d = (one << 16 for one in turned)
            stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        for at in times or range(RATE * len(colours)):
            pixels = np.empty((size[1], size[0], 3), np.uint8)
            pixels[:] = colours[min(at // RATE, len(colours) - 1)]
            pixels[:8, :8] = 255  # a white corner marks the top left
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = at, Fraction(1, RATE)
            if at % RATE == 0:
                frame.pict_type = av.video.frame.PictureType.I
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def sound(path: Path, form: str = "mp4", *, cover: bool = False) -> Path:
    """Write a tenth of a second of silence, without video but with optional cover art."""
    with av.open(path, "w", format=form) as container:
        stream = container.add_stream("aac", rate=48_000)
        if cover:
            picture = container.add_stream("mjpeg", rate=1)
            picture.width, picture.height, picture.pix_fmt = 64, 48, "yuvj420p"
            picture.disposition = Disposition.attached_pic
            pixels = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 200, np.uint8), "rgb24")
            pixels.pts = 0
            container.mux(picture.encode(pixels))
            container.mux(picture.encode())
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4_800), np.float32), "fltp", "mono")
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
