"""Make small films: for tests any shape of trouble, for the demo school one that is pleasant to look at."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import imageio_ffmpeg

from .child import ChildLimits, run_child
from .faults import EncodingFailed

_LIMITS: Final = ChildLimits(wall_s=300, cpu_s=600)

_DEMO_PICTURE: Final = (
    "gradients=s=640x360:r=24:d=12:speed=0.012:nb_colors=4:seed=11:c0=0x12355b:c1=0x2a9d8f:c2=0xe9c46a:c3=0xf4a261:"
    "x0=0:y0=0:x1=640:y1=360,format=yuv420p,vignette=PI/5,fade=t=in:d=1,fade=t=out:st=11:d=1"
)
_DEMO_SOUND: Final = (
    "aevalsrc='0.10*sin(2*PI*220*t)+0.08*sin(2*PI*277.18*t)+0.08*sin(2*PI*329.63*t)+0.05*sin(2*PI*440*t)*(0.5+0.5*sin(0.5*PI*t))':"
    "s=48000:d=12,afade=t=in:d=2,afade=t=out:st=9.5:d=2.5"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Describe a test film: a moving pattern, and a tone if there is sound."""

    width: int = 320
    height: int = 180
    rate: str = "25"
    duration_s: float = 3
    sound: bool = True
    keyframe_every: int = 25
    b_frames: int = 0
    open_gop: bool = False
    rotation: int = 0
    """Degrees counter-clockwise that players shall turn the picture."""
    uneven: bool = False
    """Leave pictures out, so that the rate varies."""
    start_s: float = 0
    """When the first picture is shown, on the file's own clock."""
    video: tuple[str, ...] = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
    output: tuple[str, ...] = ()


async def make_film(path: Path, recipe: Recipe) -> None:
    """Write a test film; its container is told by the file's suffix.

    Raises: EncodingFailed.
    """
    picture = f"testsrc2=s={recipe.width}x{recipe.height}:r={recipe.rate}:d={recipe.duration_s}"
    if recipe.uneven:
        picture += ",select='not(between(mod(n,9),3,5))*not(eq(mod(n,7),2))'"
    argv = ["-f", "lavfi", "-i", picture]
    if recipe.sound:
        argv += ["-f", "lavfi", "-i", f"sine=f=440:r=44100:d={recipe.duration_s}", "-c:a", "aac", "-b:a", "64k"]
    argv += [*recipe.video, "-g", str(recipe.keyframe_every), "-fps_mode", "vfr"]
    if "libx264" in recipe.video:
        argv += ["-sc_threshold", "0", "-bf", str(recipe.b_frames)]
        argv += ["-x264-params", f"open-gop={int(recipe.open_gop)}:b-adapt=0"]
    if recipe.start_s:
        argv += ["-output_ts_offset", str(recipe.start_s)]
    if not recipe.rotation:
        await _make([*argv, *recipe.output], path)
        return
    upright = path.with_name(f".upright-{path.name}")
    try:
        await _make(argv, upright)
        turned = ["-display_rotation", str(recipe.rotation), "-i", f"file:{upright}", "-c", "copy", *recipe.output]
        await _make(turned, path)
    finally:
        upright.unlink(missing_ok=True)


async def make_demo_film(path: Path) -> None:
    """Write the demo school's film: 12 s of slowly moving colours with a quiet chord, 640x360, MP4.

    Raises: EncodingFailed.
    """
    argv = ["-f", "lavfi", "-i", _DEMO_PICTURE, "-f", "lavfi", "-i", _DEMO_SOUND]
    argv += [
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-crf",
        "20",
        "-g",
        "48",
        "-c:a",
        "aac",
        "-ac",
        "2",
        "-b:a",
        "96k",
    ]
    await _make([*argv, "-movflags", "+faststart"], path)


async def _make(argv: list[str], path: Path) -> None:
    quiet = ["-hide_banner", "-nostdin", "-loglevel", "error", "-y"]
    ended = await run_child([imageio_ffmpeg.get_ffmpeg_exe(), *quiet, *argv, f"file:{path}"], limits=_LIMITS)
    if ended.timed_out or ended.status != 0:
        raise EncodingFailed("encoder-failed", ended.stderr.strip()[-1000:])
