"""Files that are no films, by the main path: refused in words, nothing fetched, nobody hurt."""

import asyncio
import base64
import zipfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path

import pytest

from api.media.video_processing.film.sample import Recipe, make_film
from tests.harness import Hub, Person, done, problem
from tests.main_path.conftest import Classroom

RAW = ("-c:v", "rawvideo", "-pix_fmt", "bgr24")
PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n"


async def recipe(folder: Path, name: str, **options: object) -> bytes:
    path = folder / name
    await make_film(path, Recipe(**options))  # pyright: ignore[reportArgumentType]
    return await asyncio.to_thread(path.read_bytes)


async def hostile(kind: str, film: Path, folder: Path, port: int) -> tuple[bytes, str]:
    """Make a file, and say what it is passed off as."""
    whole = await asyncio.to_thread(film.read_bytes)
    match kind:
        case "a text called .mp4":
            return b"This is my homework, not a film.\n" * 100, "video/mp4"
        case "half of a film":
            return whole[: len(whole) // 2], "video/mp4"
        case "noise behind a film's first bytes":
            return whole[:64] + bytes(range(256)) * 200, "video/mp4"
        case "1x1":
            scaled = ("-vf", "scale=1:1")
            return await recipe(folder, "dot.avi", sound=False, duration_s=1, video=RAW, output=scaled), "video/avi"
        case "no frames":
            none = ("-frames:v", "0", "-movflags", "+empty_moov")
            return await recipe(folder, "none.mp4", sound=False, output=none), "video/mp4"
        case "only sound":
            return await recipe(folder, "sound.mp4", output=("-vn",)), "video/mp4"
        case "a playlist of local files":
            return PLAYLIST.format("file:///etc/passwd").encode(), "video/mp4"
        case "a playlist of a server inside":
            return PLAYLIST.format(f"http://127.0.0.1:{port}/a.ts").encode(), "application/vnd.apple.mpegurl"
        case "a list for FFmpeg":
            return b"ffconcat version 1.0\nfile /etc/passwd\n" * 50, "video/mp4"
        case "a bomb of pictures":
            huge = ("-vf", "scale=9000:9000:flags=neighbor")
            video = ("-c:v", "mjpeg")
            made = await recipe(folder, "bomb.mkv", rate="1", duration_s=1, sound=False, video=video, output=huge)
            return made, "video/x-matroska"
        case _:
            packed = BytesIO()
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("zeros", bytes(50_000_000))
            return packed.getvalue(), "video/mp4"


KINDS = (
    "a text called .mp4",
    "half of a film",
    "noise behind a film's first bytes",
    "1x1",
    "no frames",
    "only sound",
    "a playlist of local files",
    "a playlist of a server inside",
    "a list for FFmpeg",
    "a bomb of pictures",
    "a zip bomb",
)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_hostile_file_is_refused_in_words(
    hub: Hub, classroom: Classroom, upright_film: Path, tmp_path: Path, kind: str
) -> None:
    teacher, course_id = classroom.lesson.teacher, classroom.lesson.course_id
    async with listener() as (port, calls):
        content, filetype = await hostile(kind, upright_film, tmp_path, port)
        uploaded = await upload(teacher, course_id, content, filetype)
        if uploaded is None:
            return
        await hub.settle()
        answer = await teacher.post("/v1/videos", {"asset_id": uploaded})
        if answer.status_code == 422:
            said = problem(answer, 422)["detail"]
        else:
            video = done(answer, 201)
            await hub.settle()
            video = done(await teacher.get(f"/v1/videos/{video['id']}"))
            assert video["state"] == "failed"
            assert not video["error"]["retryable"]
            said = video["error"]["detail"]
            problem(await teacher.post("/v1/playbacks", {"video_id": video["id"]}), 409, "film-not-ready")
    assert calls == []
    assert len(said.split()) >= 4
    assert said[0].isupper() or "film" in said or "file" in said
    for secret in ("Traceback", "/tmp", "ffmpeg", "Error", "errno", "root:"):
        assert secret not in said


async def upload(teacher: Person, course_id: str, content: bytes, filetype: str) -> str | None:
    """Upload a file; None when its declared type is refused at once, in words."""
    fields = {
        "filename": "lesson.mp4",
        "filetype": filetype,
        "purpose": "course-media",
        "target": f"course:{course_id}",
    }
    metadata = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in fields.items())
    tus = {"Tus-Resumable": "1.0.0"}
    headers = tus | {"Upload-Length": str(len(content)), "Upload-Metadata": metadata}
    begun = await teacher.post("/v1/uploads", headers=headers)
    if begun.status_code == 422:
        assert problem(begun, 422)["detail"]
        return None
    assert begun.status_code == 201, begun.text
    where = begun.headers["location"]
    patch = tus | {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    sent = await teacher.client.patch(where, content=content, headers=patch)
    assert sent.status_code == 204, sent.text
    return where.rpartition("/")[2]


@asynccontextmanager
async def listener() -> AsyncGenerator[tuple[int, list[str]]]:
    """Count who calls a server inside."""
    calls: list[str] = []

    def called(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.append("called")
        writer.close()

    server = await asyncio.start_server(called, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], calls
