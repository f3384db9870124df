"""Find out what a film is, or refuse it in words that a teacher understands."""

import json
import sys
from base64 import b64decode
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, cast, get_args

from .child import ChildLimits, run_child
from .faults import EncodingFailed, FaultCode, UnplayableFilm
from .timeline import Timeline

CONTAINERS: Final = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,avi,flv,ogg,asf,mxf"
"""Demuxers that may read an upload: those that hold a film themselves.

Playlists (hls, dash, concat, ...) and picture series stay out.
"""

SEEKABLE_CONTAINERS: Final = ("mov", "matroska")
"""Containers with exact time stamps on every picture and a seek that never lands too late."""

# fmt: off
VIDEO_CODECS: Final = frozenset((
    "h264", "hevc", "av1", "libdav1d", "vp8", "libvpx", "vp9", "libvpx-vp9", "mpeg4", "mpeg1video",
    "mpeg2video", "msmpeg4", "msmpeg4v2", "msmpeg4v3", "wmv1", "wmv2", "wmv3", "vc1", "h263", "flv",
    "theora", "mjpeg", "prores", "dnxhd", "cfhd", "ffv1", "huffyuv", "ffvhuff", "utvideo", "qtrle",
    "svq1", "svq3", "cinepak", "dvvideo", "png", "rawvideo",
))
# fmt: on

_DEMUX: Final = str(Path(__file__).with_name("demux.py"))
_MIN_VARIATION: Final = 0.1
_HDR_TRANSFERS: Final = {16: "smpte2084", 18: "arib-std-b67"}
"""PQ and HLG. Source: ITU-T H.273, table 3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeLimits:
    """Bound what is accepted as a film, and what finding out may cost."""

    max_pixels: int = 8192 * 4320
    min_side: int = 16
    max_duration_s: int = 12 * 3600
    max_frames: int = 12 * 3600 * 60
    max_streams: int = 32
    wall_s: float = 600
    cpu_s: int = 300
    memory_mib: int = 3_072


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioTrack:
    """Describe the sound track that is used."""

    stream_index: int
    codec: str
    channels: int
    sample_rate: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Describe a playable film; plain values, fit for msgspec and pickle."""

    container: str
    video_codec: str
    video_stream_index: int
    coded_width: int
    coded_height: int
    width: int
    """As shown: after the shape of the pixels and the rotation."""
    height: int
    rotation: int
    """Degrees counter-clockwise (0, 90, 180, 270), as the file asks for."""
    interlaced: bool
    frame_rate_num: int
    frame_rate_den: int
    is_vfr: bool
    frame_count: int
    duration_s: float
    timeline: Timeline
    audio: AudioTrack | None
    hdr_transfer: str | None = None
    """How a film of high dynamic range codes light, by ffmpeg's name; None: it has the range of every screen."""
    needs_remux: bool
    """The container's times or seeks are not exact: `remux` it before it is cut, and probe the result."""

    @property
    def frame_rate(self) -> Fraction:
        """Return the mean number of pictures per second."""
        return Fraction(self.frame_rate_num, self.frame_rate_den)

    @property
    def has_audio(self) -> bool:
        """Tell whether there is a sound track."""
        return self.audio is not None

    @property
    def keyframes_s(self) -> tuple[float, ...]:
        """Return the times of the keyframes, counted from the first picture."""
        pts, base = self.timeline.pts(), self.timeline.time_base
        return tuple(float((pts[i] - pts[0]) * base) for i in self.timeline.keyframes())


async def probe(path: Path, limits: ProbeLimits | None = None) -> Probe:
    """Read the film's structure and its first picture in a child process.

    Raises: UnplayableFilm when it is no film that can be processed; EncodingFailed when it could not be found out.
    """
    limits = limits or ProbeLimits()
    bounds = (limits.max_pixels, limits.max_duration_s, limits.max_frames, limits.max_streams)
    ended = await run_child(
        [sys.executable, "-I", _DEMUX, str(path), *map(str, bounds), CONTAINERS],
        limits=ChildLimits(wall_s=limits.wall_s, cpu_s=limits.cpu_s, memory_mib=limits.memory_mib, file_bytes=0),
    )
    if ended.timed_out or ended.out_of_cpu:
        raise UnplayableFilm("too-costly")
    if ended.status != 0:
        if ended.status < 0 or "MemoryError" in ended.stderr:
            # The reader crashed or ran out of its memory: another attempt would do the same.
            raise UnplayableFilm("damaged")
        raise EncodingFailed("probe-failed", ended.stderr.strip()[-500:])
    facts = cast("dict[str, Any]", json.loads(ended.stdout))
    if "fault" in facts:
        assert facts["fault"] in get_args(FaultCode)
        raise UnplayableFilm(facts["fault"])
    return _accept(facts, limits)


def _accept(facts: dict[str, Any], limits: ProbeLimits) -> Probe:
    if facts["codec"] not in VIDEO_CODECS:
        raise UnplayableFilm("unsupported-codec")
    coded_width, coded_height = int(facts["coded_width"]), int(facts["coded_height"])
    width, height = _shown_size(coded_width, coded_height, Fraction(*facts["aspect"]), facts["rotation"])
    if min(coded_width, coded_height, width, height) < limits.min_side:
        raise UnplayableFilm("too-small")
    if max(coded_width * coded_height, width * height) > limits.max_pixels:
        raise UnplayableFilm("too-large")
    timeline = Timeline(
        time_base_num=facts["time_base"][0],
        time_base_den=facts["time_base"][1],
        packed_pts=b64decode(facts["pts"]),
        packed_keyframes=b64decode(facts["keyframes"]),
        end_pts=facts["end_pts"],
    )
    pts, base = timeline.pts(), timeline.time_base
    duration = (timeline.end_pts - pts[0]) * base
    short, typical, long = facts["steps"]
    # A clock of 1/1000 s cannot say 23.976 evenly: a step of one unit is rounding, not variation.
    is_vfr = long - short > max(2, typical * _MIN_VARIATION)
    declared = Fraction(*facts["rate"]) if facts["rate"] else None
    rate = len(pts) / duration if duration > 0 else Fraction(25)
    if declared and not is_vfr and abs(declared - rate) <= rate / 20:
        rate = declared
    rate = rate.limit_denominator(100_000)
    audio = facts["audio"]
    return Probe(
        container=facts["container"],
        video_codec=facts["codec"],
        video_stream_index=facts["stream_index"],
        coded_width=coded_width,
        coded_height=coded_height,
        width=width,
        height=height,
        rotation=facts["rotation"],
        interlaced=facts["interlaced"],
        hdr_transfer=_HDR_TRANSFERS.get(facts["transfer"]),
        frame_rate_num=rate.numerator,
        frame_rate_den=rate.denominator,
        is_vfr=is_vfr,
        frame_count=len(pts),
        duration_s=float(duration),
        timeline=timeline,
        audio=AudioTrack(**audio) if audio and audio["channels"] and audio["sample_rate"] else None,
        needs_remux=bool(facts["guessed"]) or not str(facts["container"]).startswith(SEEKABLE_CONTAINERS),
    )


def _shown_size(width: int, height: int, aspect: Fraction, rotation: int) -> tuple[int, int]:
    # Shapes beyond 1:8 are mistakes in the file, not pixels.
    if Fraction(1, 8) <= aspect <= 8:
        width = round(width * aspect)
    return (height, width) if rotation in (90, 270) else (width, height)
