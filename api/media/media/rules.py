"""Pure decisions about files: names, types, purposes, ranges."""

import re
import unicodedata
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import NamedTuple
from urllib.parse import quote

import filetype

from api.media.media.contract import RangeNotSatisfiable, TooManyUploads, UploadPurpose

UNFINISHED_FOR = timedelta(hours=24)
"""An upload is given up this long after its last byte."""
NOT_BEGUN_FOR = timedelta(hours=1)
"""An upload is given up this long after it was announced, when no byte came: its room is reserved."""
MAX_OPEN_OF_PERSON = 20
MAX_OPEN_OF_ORGANIZATION = 200
MAX_AWAITED_BYTES_OF_PERSON = 100 * 1024**3
MAX_AWAITED_BYTES_OF_ORGANIZATION = 512 * 1024**3
"""Room that is reserved for bytes that have not come."""
UNUSED_FOR = timedelta(hours=24)
"""A finished file that nothing uses is deleted after this."""
PERSON_QUOTA_BYTES = 5 * 1024**3
HEAD_BYTES = 8192
"""How much of a file's beginning tells its type."""

_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_TEXT_TYPES = ("text/plain", "text/markdown", "text/csv", "application/x-subrip")
_MARKUP_TYPES = (
    (b"<svg", "image/svg+xml"),
    (b"<!doctype html", "text/html"),
    (b"<html", "text/html"),
    (b"<script", "text/html"),
)
_CANONICAL_TYPES = {
    "image/jpg": "image/jpeg",
    "video/x-m4v": "video/mp4",
    "audio/x-wav": "audio/wav",
    "audio/m4a": "audio/mp4",
    "audio/x-m4a": "audio/mp4",
    "video/x-msvideo": "video/avi",
}


class Span(NamedTuple):
    """Bytes from `start` up to but without `end`."""

    start: int
    end: int


class Unfinished(NamedTuple):
    """How many uploads are unfinished, and how many bytes they have still to send."""

    uploads: int
    awaited_bytes: int


def check_unfinished(whose: str, unfinished: Unfinished, size_bytes: int, most: Unfinished) -> None:
    """Return when one more upload, of `size_bytes`, may be unfinished at once.

    Raises:
        TooManyUploads
    """
    if unfinished.uploads < most.uploads and unfinished.awaited_bytes + size_bytes <= most.awaited_bytes:
        return
    raise TooManyUploads(
        f"{whose} may have {most.uploads} unfinished uploads that have {most.awaited_bytes} bytes still to send: "
        "finish one, or end one by DELETE",
        open_uploads=unfinished.uploads,
        awaited_bytes=unfinished.awaited_bytes,
    )


def clean_filename(text: str) -> str:
    """Return a name without folders and control characters, at most 255 long."""
    name = unicodedata.normalize("NFC", text.replace("\\", "/")).rpartition("/")[2]
    # Format characters may turn the direction of writing and make `exe.mp4` of `4pm.exe`.
    name = "".join(each for each in name if unicodedata.category(each) not in ("Cc", "Cf", "Cs", "Zl", "Zp")).strip()
    if len(name) > 255:
        stem, dot, suffix = name.rpartition(".")
        name = f"{stem[: 254 - len(suffix)]}.{suffix}" if dot and len(suffix) <= 16 else name[:255]
    return name if name.strip(".") else "file"


def declared_type(text: str | None) -> str | None:
    """Return the media type that a client declares, None when it is none."""
    essence = (text or "").partition(";")[0].strip().lower()
    return _CANONICAL_TYPES.get(essence, essence) if _TYPE.fullmatch(essence) else None


def sniff(head: bytes, declared: str | None) -> str | None:
    """Tell the media type by the first bytes. `declared` only chooses between kinds of text.

    Source: WHATWG MIME Sniffing; ISO/IEC 14496-12, section 4.3 (`ftyp`); ISO/IEC 13818-1, section 2.4.3.2 (sync byte);
    RFC 8794 (EBML).
    """
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "video/webm" if b"webm" in head[:64] else "video/x-matroska"
    guessed: str | None = filetype.guess_mime(head)
    if guessed is not None:
        return _CANONICAL_TYPES.get(guessed, guessed)
    if head[4:8] == b"ftyp":
        return "video/mp4"
    if head[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "video/quicktime"
    if len(head) >= 377 and head[0] == head[188] == head[376] == 0x47:
        return "video/mp2t"
    return _text_type(head, declared)


def _text_type(head: bytes, declared: str | None) -> str | None:
    text = _decoded(head, declared)
    if text is None or any(each < " " and each not in "\t\n\r\f\x1b" for each in text):
        return None
    start = text.lstrip("\ufeff \t\r\n").lower()
    if start.startswith("webvtt"):
        return "text/vtt"
    if start.startswith(("<", "\ufeff<")):
        for mark, kind in _MARKUP_TYPES:
            if mark.decode() in start[:1024]:
                return kind
        return "application/xml"
    if start[:1] in ("{", "[") and declared == "application/json":
        return "application/json"
    return declared if declared in _TEXT_TYPES else "text/plain"


def _decoded(head: bytes, declared: str | None) -> str | None:
    """Return the beginning of a text in UTF-8; a table may have the encodings that spreadsheets write, too."""
    try:
        # The head may end within a character, which has at most 4 bytes.
        return head[:-3].decode() if len(head) >= HEAD_BYTES else head.decode()
    except UnicodeDecodeError as error:
        if error.start >= len(head) - 6:
            return head[: error.start].decode()
    if declared != "text/csv":
        return None
    encoding = "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "cp1252"
    return head.decode(encoding, errors="replace")


def allows(purpose: UploadPurpose, content_type: str) -> bool:
    """Tell whether a purpose takes files of this type."""
    return any(fnmatchcase(content_type, pattern) for pattern in purpose.content_types)


def requested_range(header: str | None, size_bytes: int) -> Span | None:
    """Return the one range that is asked for; None: the whole, also for several ranges, other units and malformed headers.

    Source: RFC 9110, section 14.

    Raises:
        RangeNotSatisfiable
    """
    found = _RANGE.fullmatch((header or "").strip())
    if found is None or found[0] == "bytes=-":
        return None
    first, last = found[1], found[2]
    if not first:
        span = Span(max(size_bytes - int(last), 0), size_bytes)
    else:
        span = Span(int(first), min(int(last) + 1, size_bytes) if last else size_bytes)
        if last and int(last) < int(first):
            return None
    if span.start >= span.end:
        raise RangeNotSatisfiable(
            f"the file has {size_bytes} bytes", headers={"Content-Range": f"bytes */{size_bytes}"}
        )
    return span


def attachment(filename: str) -> str:
    """Return a Content-Disposition that saves under this name (RFC 6266, section 4.3)."""
    plain = "".join(each if " " <= each <= "~" and each not in '"\\%' else "_" for each in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
