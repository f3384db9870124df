"""Pure decisions of video_streaming: when an address expires, its file names, content types and ranges."""

import posixpath
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from api.media.media.contract import RangeNotSatisfiable

MASTER = "master.m3u8"
KEPT_AFTER_EXPIRY = timedelta(days=30)
"""For this long a client that was offline may tell its progress."""

_CONTENT_TYPES = {
    ".m3u8": "application/vnd.apple.mpegurl",
    ".m4s": "video/iso.segment",
    ".mp4": "video/mp4",
    ".vtt": "text/vtt; charset=utf-8",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
}
_SINGLE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
_URI_ATTRIBUTE = re.compile(r'[:,]URI="([^"\n]*)"')


def expiry(now: datetime, duration_s: float, min_lifetime: timedelta) -> datetime:
    """Return when an address ends: time to watch the film twice, and at least `min_lifetime`."""
    return now + max(min_lifetime, timedelta(seconds=2 * duration_s))


def content_type(name: str) -> str:
    """Return the media type of a file by this table; neither the store nor the system is asked."""
    return _CONTENT_TYPES.get(posixpath.splitext(name)[1], "application/octet-stream")


def file_names(playlists: Mapping[str, str]) -> frozenset[str]:
    """Return every name below a film's address: the playlists and the files that they name. Nothing else can be fetched.

    Source: RFC 8216, sections 4.1 (URI lines) and 4.3 (URI attributes); relative names are resolved as RFC 3986 says.
    """
    names = set(playlists)
    for playlist, text in playlists.items():
        folder = posixpath.dirname(playlist)
        names |= {posixpath.normpath(posixpath.join(folder, uri)) for uri in _uris(text) if ":" not in uri}
    return frozenset(name for name in names if not name.startswith((".", "/")))


def _uris(playlist: str) -> Iterator[str]:
    for line in playlist.splitlines():
        if line.startswith("#"):
            yield from _URI_ATTRIBUTE.findall(line)
        elif line:
            yield line


def requested_range(header: str | None, size_bytes: int) -> tuple[int, int] | None:
    """Return start and end (exclusive) of the range to answer with; None: answer with everything.

    Several ranges, other units and malformed headers are answered with everything (RFC 9110, section 14.2).

    Raises:
        RangeNotSatisfiable: it begins behind the end.
    """
    match = _SINGLE_RANGE.fullmatch(header.strip()) if header else None
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first and last and int(last) < int(first):
        return None
    start = int(first) if first else max(0, size_bytes - int(last))
    end = min(size_bytes, int(last) + 1) if first and last else size_bytes
    if start >= size_bytes:
        raise RangeNotSatisfiable(
            f"the file has {size_bytes} bytes", headers={"Content-Range": f"bytes */{size_bytes}"}
        )
    return start, end
