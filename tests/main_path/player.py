"""Play films as a player does: with FFmpeg, over HTTP, from an address alone."""

import re
from dataclasses import dataclass
from urllib.parse import urljoin

import av
import httpx
from av.video.frame import VideoFrame


@dataclass(frozen=True, slots=True)
class Shown:
    """What a film showed: when each picture stood there, counted from the first, and what it looked like."""

    times_s: list[float]
    thumbnails: list[bytes]


def show(place: str) -> Shown:
    """Decode all pictures of a file or playlist."""
    times_s: list[float] = []
    thumbnails: list[bytes] = []
    with av.open(place) as container:
        for frame in container.decode(container.streams.video[0]):
            times_s.append(frame.time or 0.0)
            thumbnails.append(_thumbnail(frame))
    return Shown([time_s - times_s[0] for time_s in times_s], thumbnails)


def sound_s(place: str) -> float:
    """Decode all sound of a file or playlist; return how long it is."""
    with av.open(place) as container:
        stream = container.streams.audio[0]
        return sum(frame.samples for frame in container.decode(stream)) / stream.rate


def renditions(master_url: str) -> list[str]:
    """Fetch a master playlist and return the addresses of its renditions."""
    text = httpx.get(master_url, trust_env=False).raise_for_status().text
    return [urljoin(master_url, line) for line in text.splitlines() if line and not line.startswith("#")]


def sound(master_url: str) -> str | None:
    """Return the address of a master playlist's sound, if it has any."""
    text = httpx.get(master_url, trust_env=False).raise_for_status().text
    found = re.search(r'#EXT-X-MEDIA:TYPE=AUDIO.*URI="([^"]+)"', text)
    return None if found is None else urljoin(master_url, found[1])


def differs(a: bytes, b: bytes) -> float:
    """Return how far two thumbnails are apart, on average, of 255."""
    return sum(abs(x - y) for x, y in zip(a, b, strict=True)) / len(a)


def _thumbnail(frame: VideoFrame) -> bytes:
    small = frame.reformat(width=32, height=32, format="gray", interpolation="AREA")
    plane, stride = bytes(small.planes[0]), small.planes[0].line_size
    return b"".join(plane[row * stride : row * stride + 32] for row in range(32))
