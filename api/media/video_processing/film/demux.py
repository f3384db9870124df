"""Read a film's structure; run as a script in a child process, because a hostile file may crash the reader.

`demux.py FILE MAX_PIXELS MAX_DURATION_S MAX_FRAMES MAX_STREAMS CONTAINERS` prints one JSON object: the facts, or
`{"fault": code}`. It imports nothing of the product, so that it starts quickly.
"""

import base64
import json
import os
import sys
import zlib
from array import array
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any, NoReturn, cast

import av
import av.error
import av.logging
import av.stream
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

_DECODE_ATTEMPT_PACKETS = 600


def _refuse(code: str) -> NoReturn:
    print(json.dumps({"fault": code}))  # noqa: T201
    sys.exit(0)


def _pack(values: list[int]) -> str:
    deltas = array("q", [b - a for a, b in pairwise([0, *values])])
    if sys.byteorder == "big":
        deltas.byteswap()
    return base64.b64encode(zlib.compress(deltas.tobytes())).decode()


def _code_of_unreadable(path: str) -> str:
    """Name the fault of a file that no demuxer accepts, by its first bytes."""
    with open(path, "rb") as file:
        head = file.read(4096)
        text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
        if text.startswith((b"#extm3u", b"ffconcat", b"<smil", b"[playlist]")) or b"<mpd" in text[:1024]:
            return "playlist"
        if head[4:8] not in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            # EBML or RIFF whose header is all that is left of it.
            return "truncated" if head[:4] in (b"\x1aE\xdf\xa3", b"RIFF") and b"WAVE" not in head[:16] else "not-a-film"
        # ISO base media: without its index (moov), which many recorders write last, it was cut off.
        position, size, found = 0, os.path.getsize(path), False
        while position + 8 <= size and not found:
            file.seek(position)
            header = file.read(16)
            length = int.from_bytes(header[:4], "big")
            if length == 1:
                length = int.from_bytes(header[8:16], "big")
            found = header[4:8] == b"moov" and position + length <= size
            if length < 8:
                break
            position += length
        return "damaged" if found else "truncated"


@dataclass
class _Seen:
    """Gather what the packets say."""

    shown: set[int] = field(default_factory=lambda: set[int]())
    keyframes: set[int] = field(default_factory=lambda: set[int]())
    packets: int = 0
    guessed: bool = False
    last_length: int = 0
    end_s: Fraction = Fraction(0)
    corrupt_end: bool = False


def _walk(container: InputContainer, video: VideoStream, audio: AudioStream | None, max_frames: int) -> _Seen:
    """Read every packet; nothing is decoded."""
    seen, last = _Seen(), -(1 << 62)
    try:
        for packet in container.demux([video] if audio is None else [video, audio]):
            if packet.size == 0:
                continue
            seen.corrupt_end = packet.is_corrupt
            time = packet.dts if packet.pts is None else packet.pts
            if time is not None:
                seen.end_s = max(seen.end_s, (time + (packet.duration or 0)) * packet.time_base)
            if packet.stream_index != video.index:
                continue
            seen.packets += 1
            if seen.packets > max_frames:
                _refuse("too-long")
            seen.guessed |= packet.pts is None
            if time is None or packet.is_discard:
                continue
            if time > last:
                last, seen.last_length = time, packet.duration or seen.last_length
            seen.shown.add(time)
            if packet.is_keyframe:
                seen.keyframes.add(time)
    except av.error.FFmpegError:
        seen.corrupt_end = True
    return seen


def _first_picture(path: str, options: dict[str, str], stream_index: int) -> Any:
    """Decode until one picture is there; its shape is the truth, not the header's."""
    with av.open(path, options=options) as container:
        stream = container.streams[stream_index]
        for count, packet in enumerate(container.demux(stream)):
            try:
                for frame in packet.decode():
                    return cast(Any, frame)
            except av.error.FFmpegError:
                pass
            if count > _DECODE_ATTEMPT_PACKETS:
                break
    return None


def main(argv: list[str]) -> None:
    """Print the facts or the fault of one file."""
    av.logging.set_level(av.logging.PANIC)
    path = os.path.abspath(argv[0])
    max_pixels, max_duration_s, max_frames, max_streams = (int(value) for value in argv[1:5])
    # "file:" keeps a name such as "concat:a|b" from being read as a protocol.
    url, options = f"file:{path}", {"format_whitelist": argv[5], "protocol_whitelist": "file"}
    if os.path.getsize(path) == 0:
        _refuse("empty")
    try:
        container = av.open(url, options=options)
    except (av.error.FFmpegError, ValueError):
        _refuse(_code_of_unreadable(path))
    with container:
        if len(container.streams) > max_streams:
            _refuse("too-many-streams")
        # A stream whose codec is unknown has no codec context, and a cover picture is no film.
        known = [s for s in container.streams if cast(Any, s.codec_context) is not None]
        cover = int(av.stream.Disposition.attached_pic)
        videos = [s for s in known if isinstance(s, VideoStream) and not int(s.disposition) & cover]
        if not videos:
            _refuse("unsupported-codec" if container.streams.video else "no-video")
        video = max(videos, key=lambda s: (int(s.disposition) & 1, s.codec_context.width * s.codec_context.height))
        if video.codec_context.width * video.codec_context.height > max_pixels:
            _refuse("too-large")
        audio = next((s for s in known if isinstance(s, AudioStream)), None)
        base = cast(Fraction, video.time_base)
        seen = _walk(container, video, audio, max_frames)
        if not seen.shown:
            _refuse("truncated" if video.frames else "no-frames")
        pts = sorted(seen.shown)
        steps = sorted(b - a for a, b in pairwise(pts)) or [seen.last_length or int(Fraction(1, 25) / base) or 1]
        end = pts[-1] + (seen.last_length or steps[len(steps) // 2])
        if (end - pts[0]) * base > max_duration_s:
            _refuse("too-long")
        name = container.format.name
        if name.startswith(("mov", "matroska")):
            declared_s = Fraction(container.duration or 0, av.time_base)
            missing_s = declared_s - max(seen.end_s, end * base)
            short = 0 < seen.packets < video.frames - 1 or missing_s > max(1, declared_s / 50)
            if short or seen.corrupt_end:
                _refuse("truncated")
        aspect, rate = video.sample_aspect_ratio or Fraction(1), video.average_rate
        facts: dict[str, Any] = {
            "container": name,
            "codec": video.codec_context.name,
            "stream_index": video.index,
            "aspect": [aspect.numerator, aspect.denominator],
            "rate": [rate.numerator, rate.denominator] if rate else None,
            "time_base": [base.numerator, base.denominator],
            "pts": _pack(pts),
            "keyframes": _pack([i for i, time in enumerate(pts) if time in seen.keyframes]),
            "end_pts": end,
            # Without the extreme fiftieth at each end: one late picture does not make the rate variable.
            "steps": [steps[len(steps) // 50], steps[len(steps) // 2], steps[-1 - len(steps) // 50]],
            "guessed": seen.guessed,
            "audio": None
            if audio is None
            else {
                "codec": audio.codec_context.name,
                "channels": audio.codec_context.channels,
                "sample_rate": audio.codec_context.sample_rate or 0,
                "stream_index": audio.index,
            },
        }
    frame = _first_picture(url, options, facts["stream_index"])
    if frame is None:
        _refuse("no-frames")
    facts |= {
        "coded_width": frame.width,
        "coded_height": frame.height,
        "rotation": round(frame.rotation) % 360,
        "interlaced": bool(frame.interlaced_frame),
        "transfer": int(frame.color_trc),
    }
    print(json.dumps(facts))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
