"""Read the headers of tus (https://tus.io/protocols/resumable-upload, version 1.0.0)."""

import base64
import re
from dataclasses import dataclass
from uuid import UUID

from api.media.media.contract import TargetKind, UploadHeaderInvalid, UploadTargetInvalid

VERSION = "1.0.0"
EXTENSIONS = ("creation", "creation-with-upload", "termination", "checksum", "expiration")
ALGORITHMS = {"sha1": 20, "sha256": 32, "md5": 16}
OFFSET_TYPE = "application/offset+octet-stream"

_NUMBER = re.compile(r"\d{1,18}", re.ASCII)
_KEY = re.compile(r"[!-+\--~]{1,64}")
_MAX_METADATA = 8192


@dataclass(frozen=True, slots=True)
class Checksum:
    """The checksum that a client declares for the bytes of one request."""

    algorithm: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Target:
    """Where a file belongs. `id` is None for `user:me`."""

    kind: TargetKind
    id: UUID | None


def parse_number(name: str, text: str | None) -> int:
    """Read a header that must be a number of bytes.

    Raises:
        UploadHeaderInvalid
    """
    if text is None or _NUMBER.fullmatch(text.strip()) is None:
        raise UploadHeaderInvalid(
            f"send {name} with a number of bytes that is not negative", pointer=f"/header/{name.lower()}"
        )
    return int(text)


def parse_metadata(text: str | None) -> dict[str, str]:
    """Read `Upload-Metadata`: keys with base64 values, separated by commas.

    Raises:
        UploadHeaderInvalid
    """
    found: dict[str, str] = {}
    if text is None or not text.strip():
        return found
    for entry in text.split(","):
        key, _, value = entry.strip().partition(" ")
        try:
            content = base64.b64decode(value.strip(), validate=True).decode()
        except ValueError:
            content = "\0"
        if _KEY.fullmatch(key) is None or key in found or "\0" in content or len(text) > _MAX_METADATA:
            raise UploadHeaderInvalid(
                "Upload-Metadata is a list of `key base64-of-UTF-8`, separated by commas, each key once, 8 KiB at most",
                pointer="/header/upload-metadata",
            )
        found[key] = content
    return found


def render_metadata(metadata: dict[str, str | None]) -> str:
    """Write `Upload-Metadata`, without keys that have no value."""
    return ",".join(
        f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in metadata.items() if value is not None
    )


def parse_target(text: str | None) -> Target:
    """Read `target` of the metadata.

    Raises:
        UploadTargetInvalid
    """
    kind, _, id = (text or "").partition(":")
    if kind == "user" and id == "me":
        return Target("user", None)
    if kind in ("org", "course", "run"):
        try:
            return Target(kind, UUID(id))
        except ValueError:
            pass
    raise UploadTargetInvalid(
        "target in Upload-Metadata is org:<id>, course:<id>, run:<id> or user:me",
        pointer="/header/upload-metadata/target",
    )


def parse_checksum(text: str | None) -> Checksum | None:
    """Read `Upload-Checksum`.

    Raises:
        UploadHeaderInvalid
    """
    if text is None:
        return None
    algorithm, _, encoded = text.strip().partition(" ")
    try:
        digest = base64.b64decode(encoded.strip(), validate=True)
    except ValueError:
        digest = b""
    if ALGORITHMS.get(algorithm) != len(digest):
        raise UploadHeaderInvalid(
            f"Upload-Checksum is one of {', '.join(ALGORITHMS)}, a space, and the digest in base64",
            pointer="/header/upload-checksum",
        )
    return Checksum(algorithm, digest)
