"""Encode chunks, sound and poster with ffmpeg: one child process per task, whatever the number of renditions it makes.

Decoding and filtering are done once per process, so a task that makes all renditions of a chunk costs least in total;
a task per rendition spreads further. Both give the same timestamps.
"""

import asyncio
import errno
import os
import secrets
from bisect import bisect_right
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import imageio_ffmpeg

from .child import ChildExit, ChildLimits, run_child
from .faults import EncodingFailed, UnplayableFilm
from .fragments import DELAY_TICKS, EncodedSegment, Sample, delayed, read_file, timescale, write_segments
from .ladder import AUDIO_BIT_RATE, MAX_FRAME_RATE, Rendition
from .probe import CONTAINERS, Probe
from .segments import AudioPlan, Chunk, Plan
from .timeline import TICKS_PER_S

AUDIO_NAME: Final = "audio"
AUDIO_RATE_HZ: Final = 48_000
POSTER_LONG_SIDE: Final = 1280

_SHIFT_S: Final = 10
"""Added before the encoder and taken off after it, so that decoding times ahead of the first picture stay positive."""
_FRAGMENTED: Final = "empty_moov+default_base_moof+frag_keyframe+frag_discont"
_MIB: Final = 1 << 20

OnProgress = Callable[[float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeLimits:
    """Bound one task."""

    wall_s: float = 3_600
    cpu_s: int = 4 * 3_600
    memory_mib: int = 8_192
    max_pixels: int = 8192 * 4320
    threads: int = 1
    """For the decoder, the filters and each encoder; a process with several renditions uses several cores anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedTrack:
    """Describe what a task wrote of one rendition (or of the sound) into the folder `name`."""

    name: str
    chunk: int
    timescale: int
    init: bytes
    """The init segment; the same for all chunks of a rendition."""
    segments: tuple[EncodedSegment, ...]

    @property
    def frames(self) -> int:
        """Return how many pictures or sound frames were written."""
        return sum(segment.frames for segment in self.segments)


async def encode_chunk(
    source: Path,
    chunk: Chunk,
    renditions: Sequence[Rendition],
    out_dir: Path,
    *,
    limits: EncodeLimits | None = None,
    on_progress: OnProgress | None = None,
) -> tuple[EncodedTrack, ...]:
    """Encode a chunk in the given renditions into `out_dir/<rendition>/`, and return a track for each.

    Repeating a task replaces its files by others with the same names, times and number of pictures.

    Raises: UnplayableFilm when the film is damaged there; EncodingFailed when the task may be repeated.
    """
    tracks = await _encode_chunk(source, chunk, renditions, out_dir, limits or EncodeLimits(), on_progress)
    late = any(track.segments[0].start > chunk.segments[0].start_ticks + 1 for track in tracks)
    if late and chunk.seek_us is not None:
        # The source's index led the seek behind the pictures that are wanted.
        tracks = await _encode_chunk(
            source, replace(chunk, seek_us=None), renditions, out_dir, limits or EncodeLimits(), on_progress
        )
    return tracks


async def _encode_chunk(
    source: Path,
    chunk: Chunk,
    renditions: Sequence[Rendition],
    out_dir: Path,
    limits: EncodeLimits,
    on_progress: OnProgress | None,
) -> tuple[EncodedTrack, ...]:
    with _work_files(out_dir, len(renditions)) as files:
        argv = _input(source, limits, seek_us=chunk.seek_us)
        argv += ["-filter_complex_threads", str(limits.threads), "-filter_complex", _filters(chunk, renditions)]
        for n, (rendition, file) in enumerate(zip(renditions, files, strict=True)):
            argv += [*_x264(chunk, rendition, n, limits.threads), f"file:{file}"]
        most_bytes = sum(4 * round(r.maxrate_bps / 8 * chunk.duration_s) for r in renditions) + 64 * _MIB
        done = partial(_report_frames, chunk.frames, on_progress) if on_progress else None
        await _ffmpeg(argv, limits, most_bytes, done)
        return tuple(
            [
                await asyncio.to_thread(_finish_video, chunk, rendition, file, out_dir)
                for rendition, file in zip(renditions, files, strict=True)
            ]
        )


async def encode_audio(
    source: Path,
    audio: AudioPlan,
    out_dir: Path,
    *,
    limits: EncodeLimits | None = None,
    on_progress: OnProgress | None = None,
) -> EncodedTrack | None:
    """Encode the sound as AAC-LC stereo into `out_dir/audio/`; None when the sound track is empty.

    Time zero is the first picture: sound before it is left out, and silence stands where there is none. The encoder's
    priming frame is left out too, so no player needs to know about it.

    Raises: UnplayableFilm, EncodingFailed.
    """
    limits = limits or EncodeLimits()
    shift = _SHIFT_S * AUDIO_RATE_HZ
    with _work_files(out_dir, 1) as (file,):
        filters = (
            f"asetpts=PTS-({audio.origin_ticks}/{TICKS_PER_S})/TB,aresample={AUDIO_RATE_HZ}:async=1:first_pts=0,"
            f"aformat=sample_fmts=fltp:channel_layouts=stereo,asetpts=PTS+{shift}"
        )
        argv = [*_input(source, limits, seek_us=None), "-map", f"0:{audio.stream_index}", "-af", filters]
        argv += ["-c:a", "aac", "-profile:a", "aac_low", "-b:a", str(AUDIO_BIT_RATE), "-threads", str(limits.threads)]
        argv += [*_fragmented_mp4(), "-frag_duration", "4000000", f"file:{file}"]
        done = partial(_report_time, audio.duration_s, on_progress) if on_progress else None
        await _ffmpeg(argv, limits, 2_048 * _MIB, done)
        return await asyncio.to_thread(_finish_audio, audio, file, out_dir)


async def extract_poster(
    source: Path, probe: Probe, plan: Plan, out: Path, *, limits: EncodeLimits | None = None
) -> None:
    """Write a typical picture from the film's first part as a JPEG, at most 1280 pixels long.

    Raises: UnplayableFilm, EncodingFailed.
    """
    limits = limits or EncodeLimits()
    shrink = min(1.0, POSTER_LONG_SIDE / max(probe.width, probe.height))
    width, height = (max(2, round(side * shrink / 2) * 2) for side in (probe.width, probe.height))
    with _work_files(out.parent, 1) as (file,):
        # `thumbnail` takes the picture nearest to the mean of its batch, which is not the black one after a cut.
        size = f"scale={width}:{height}:out_range=full,setsar=1,format=yuvj420p"
        steps = ["thumbnail=n=24", *_tone_map(probe.hdr_transfer), size]
        filters = f"[0:{probe.video_stream_index}]{','.join(steps)}[o]"
        argv = [*_input(source, limits, seek_us=plan.poster_seek_us), "-filter_complex", filters, "-map", "[o]"]
        argv += [
            "-frames:v",
            "1",
            "-c:v",
            "mjpeg",
            "-q:v",
            "3",
            "-fps_mode",
            "passthrough",
            "-f",
            "mjpeg",
            f"file:{file}",
        ]
        await _ffmpeg(argv, limits, 64 * _MIB, None)
        if not await asyncio.to_thread(_take, file, out):
            raise UnplayableFilm("damaged")


async def remux(source: Path, out: Path, *, limits: EncodeLimits | None = None) -> None:
    """Copy picture and sound, unchanged, into a Matroska file with exact times and an index.

    It is for films whose `Probe.needs_remux` is set; the result is probed again and takes the upload's place.

    Raises: UnplayableFilm, EncodingFailed.
    """
    limits = limits or EncodeLimits()
    size = (await asyncio.to_thread(source.stat)).st_size
    with _work_files(out.parent, 1) as (file,):
        argv = [*_input(source, limits, seek_us=None, exact_times=False, flags=["-fflags", "+genpts"])]
        argv += ["-map", "0:v:0", "-map", "0:a:0?", "-c", "copy", "-f", "matroska", f"file:{file}"]
        await _ffmpeg(argv, limits, 2 * size + 64 * _MIB, None)
        if not await asyncio.to_thread(_take, file, out):
            raise UnplayableFilm("damaged")


def _input(
    source: Path, limits: EncodeLimits, *, seek_us: int | None, exact_times: bool = True, flags: Sequence[str] = ()
) -> list[str]:
    argv = ["-protocol_whitelist", "file", "-format_whitelist", CONTAINERS, *flags]
    argv += ["-max_pixels", str(limits.max_pixels), "-threads", str(limits.threads)]
    if seek_us is not None:
        argv += ["-noaccurate_seek", "-seek_timestamp", "1", "-ss", f"{seek_us}us"]
    return [*argv, *(["-copyts"] if exact_times else []), "-i", f"file:{source.absolute()}"]


def _filters(chunk: Chunk, renditions: Sequence[Rendition]) -> str:
    """Choose the chunk's pictures once, then scale them for every rendition."""
    if chunk.cap_frame_rate:
        slot = f"floor({{}}*{MAX_FRAME_RATE}+0.000001)"
        wanted = f"gt({slot.format('t')},{slot.format('prev_t')})"
    else:
        wanted = "gt(pts,prev_pts)"
    steps = ["bwdif=mode=send_frame:deint=interlaced"] if chunk.deinterlace else []
    steps += [f"settb=1/{TICKS_PER_S}", f"select='isnan(prev_t)+{wanted}'"]
    bounds = {"start_pts": chunk.from_ticks, "end_pts": chunk.until_ticks}
    if kept := ":".join(f"{name}={tick}" for name, tick in bounds.items() if tick is not None):
        steps.append(f"trim={kept}")
    steps.append(f"setpts=PTS-({chunk.origin_ticks - _SHIFT_S * TICKS_PER_S})")
    steps += _tone_map(chunk.hdr_transfer)
    outputs = [
        f"scale={r.width}:{r.height}:out_range=tv,setsar=1,format=yuv420p[o{n}]" for n, r in enumerate(renditions)
    ]
    chain = f"[0:{chunk.stream_index}]{','.join(steps)}"
    if len(outputs) == 1:
        return f"{chain},{outputs[0]}"
    pads = "".join(f"[s{n}]" for n in range(len(outputs)))
    return ";".join([f"{chain},split={len(outputs)}{pads}", *(f"[s{n}]{output}" for n, output in enumerate(outputs))])


def _tone_map(hdr_transfer: str | None) -> list[str]:
    """Return the filters that bring pictures of high dynamic range to BT.709, none for others.

    203 cd/m2 is the white of graphics in such pictures. Source: ITU-R BT.2408, section 2.
    """
    if hdr_transfer is None:
        return []
    # Without subsampling, so that odd sizes pass.
    to_light = f"format=yuv444p10le,zscale=tin={hdr_transfer}:pin=bt2020:min=bt2020nc:t=linear:npl=203,format=gbrpf32le"
    return [to_light, "zscale=p=bt709,tonemap=mobius:desat=0,zscale=t=bt709:m=bt709:r=tv,format=yuv444p"]


def _x264(chunk: Chunk, rendition: Rendition, output: int, threads: int) -> list[str]:
    keys = ",".join(f"{segment.cut_ticks / TICKS_PER_S + _SHIFT_S:.6f}" for segment in chunk.segments)
    argv = ["-map", f"[o{output}]", "-c:v", "libx264", "-preset", rendition.preset, "-crf", str(rendition.crf)]
    argv += ["-maxrate", str(rendition.maxrate_bps), "-bufsize", str(2 * rendition.maxrate_bps)]
    argv += ["-profile:v", "high", "-level:v", str(rendition.level), "-threads", str(threads)]
    # Only the planned pictures are keyframes, so that all renditions have the same segments.
    argv += ["-g", "1000000", "-sc_threshold", "0", "-forced-idr", "1", "-force_key_frames", keys]
    argv += [
        "-fps_mode",
        "passthrough",
        "-enc_time_base",
        f"1:{TICKS_PER_S}",
        "-video_track_timescale",
        str(TICKS_PER_S),
    ]
    return [*argv, *_fragmented_mp4()]


def _fragmented_mp4() -> list[str]:
    argv = ["-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact", "-flags", "+bitexact"]
    return [*argv, "-avoid_negative_ts", "disabled", "-use_editlist", "0", "-movflags", _FRAGMENTED, "-f", "mp4"]


async def _ffmpeg(
    argv: Sequence[str], limits: EncodeLimits, file_bytes: int, on_line: Callable[[str], None] | None
) -> None:
    quiet = ["-hide_banner", "-nostdin", "-nostats", "-y", "-loglevel", "level+info"]
    progress = ["-progress", "pipe:1", "-stats_period", "0.5"] if on_line else []
    ended = await run_child(
        [imageio_ffmpeg.get_ffmpeg_exe(), *quiet, *progress, *argv],
        limits=ChildLimits(
            wall_s=limits.wall_s, cpu_s=limits.cpu_s, memory_mib=limits.memory_mib, file_bytes=file_bytes
        ),
        on_line=on_line,
    )
    if os.strerror(errno.ENOSPC) in ended.stderr and ended.status != 0:
        # Neither the film's fault nor the encoder's: there may be room later, or elsewhere.
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if ended.timed_out or ended.status != 0:
        raise _fault(ended, limits)


def _fault(ended: ChildExit, limits: EncodeLimits) -> UnplayableFilm | EncodingFailed:
    if ended.timed_out:
        return EncodingFailed("timed-out", f"no result after {limits.wall_s:g} s")
    if ended.out_of_cpu or ended.file_too_big:
        return UnplayableFilm("too-costly")
    lines = [line for line in ended.stderr.splitlines() if "[error]" in line or "[fatal]" in line]
    detail = "\n".join(lines[-5:]) or f"ffmpeg ended with status {ended.status}"
    if "Invalid data found" in detail or "could not find codec parameters" in detail.lower():
        return UnplayableFilm("damaged")
    return EncodingFailed("encoder-failed", detail)


def _report_frames(frames: int, on_progress: OnProgress, line: str) -> None:
    key, _, value = line.partition("=")
    if key == "frame" and value.isdigit():
        on_progress(min(1.0, int(value) / frames))


def _report_time(duration_s: float, on_progress: OnProgress, line: str) -> None:
    key, _, value = line.partition("=")
    if key == "out_time_us" and value.isdigit() and duration_s > 0:
        on_progress(max(0.0, min(1.0, (int(value) / 1_000_000 - _SHIFT_S) / duration_s)))


def _finish_video(chunk: Chunk, rendition: Rendition, file: Path, out_dir: Path) -> EncodedTrack:
    init, samples = _read(file, DELAY_TICKS)
    shift = _SHIFT_S * TICKS_PER_S
    samples = [replace(sample, pts=sample.pts - shift) for sample in samples]
    cuts = [segment.cut_ticks for segment in chunk.segments]
    first = chunk.segments[0].number

    def segment_of(sample: Sample) -> int:
        return first + max(0, bisect_right(cuts, sample.pts) - 1)

    found = {segment_of(sample) for sample in samples if sample.is_sync}
    # A few pictures that cannot be decoded leave the others their places; a whole segment or half a chunk is a hole.
    if len(found) < len(cuts) or len(samples) * 2 < chunk.frames:
        raise UnplayableFilm("damaged")
    if len(samples) > chunk.frames:
        raise EncodingFailed("pictures-added", f"{len(samples)} instead of {chunk.frames} in chunk {chunk.index}")
    end = max(chunk.segments[-1].end_ticks, max(sample.pts for sample in samples) + 1)
    written = write_segments(
        file, out_dir / rendition.name, init, samples, segment_of=segment_of, end=end, delay=DELAY_TICKS
    )
    return EncodedTrack(name=rendition.name, chunk=chunk.index, timescale=TICKS_PER_S, init=init, segments=written)


def _finish_audio(audio: AudioPlan, file: Path, out_dir: Path) -> EncodedTrack | None:
    init, samples = _read(file, 0)
    shift = _SHIFT_S * AUDIO_RATE_HZ
    samples = [replace(sample, pts=sample.pts - shift) for sample in samples if sample.pts >= shift]
    if not samples:
        return None
    if timescale(init) != AUDIO_RATE_HZ:
        raise EncodingFailed("encoder-failed", f"sound has a clock of {timescale(init)} Hz")
    starts = [tick * AUDIO_RATE_HZ // TICKS_PER_S for tick in audio.starts_ticks]
    mean = max(AUDIO_RATE_HZ, starts[-1] // max(1, len(starts) - 1)) if len(starts) > 1 else 4 * AUDIO_RATE_HZ
    # Sound may go on after the last picture.
    while starts[-1] + 2 * mean <= samples[-1].pts:
        starts.append(starts[-1] + mean)

    def segment_of(sample: Sample) -> int:
        return bisect_right(starts, sample.pts) - 1

    written = write_segments(file, out_dir / AUDIO_NAME, init, samples, segment_of=segment_of, end=None, delay=0)
    return EncodedTrack(name=AUDIO_NAME, chunk=0, timescale=AUDIO_RATE_HZ, init=init, segments=written)


def _read(file: Path, delay: int) -> tuple[bytes, list[Sample]]:
    try:
        init, samples = read_file(file)
        return delayed(init, delay), samples
    except (OSError, ValueError) as error:
        raise EncodingFailed("encoder-failed", f"its file cannot be read: {error}") from error


def _take(file: Path, out: Path) -> bool:
    if not file.exists() or file.stat().st_size == 0:
        return False
    file.replace(out)
    return True


@contextmanager
def _work_files(folder: Path, count: int) -> Generator[list[Path], None, None]:
    """Name files for the encoder to write, and remove what is left of them."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f".work-{secrets.token_hex(8)}" for _ in range(count)]
    try:
        yield files
    finally:
        for file in files:
            file.unlink(missing_ok=True)
