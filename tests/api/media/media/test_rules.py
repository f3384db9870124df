"""Names, types, ranges and tus headers, without a server."""

import base64
import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.media.media import rules
from api.media.media.contract import RangeNotSatisfiable, UploadHeaderInvalid, UploadPurpose
from api.media.media.upload import headers


def zipped() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.txt", "a")
    return content.getvalue()


@pytest.mark.parametrize(
    ("head", "declared", "found"),
    [
        (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom", None, "video/mp4"),
        (b"\x00\x00\x00\x18ftypiso9\x00\x00\x00\x00iso9dash", "text/plain", "video/mp4"),
        (b"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  ", None, "video/quicktime"),
        (b"\x00\x00\x00\x08wide\x00\x00\x10\x00mdat", None, "video/quicktime"),
        (b"\x1aE\xdf\xa3\x93B\x82\x88webmB\x87\x81\x04", None, "video/webm"),
        ((b"\x47" + bytes(187)) * 3, None, "video/mp2t"),
        (b"\x89PNG\r\n\x1a\n" + bytes(30), "video/mp4", "image/png"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", None, "image/jpeg"),
        (b"%PDF-1.7\n", None, "application/pdf"),
        (zipped(), "video/mp4", "application/zip"),
        (b"WEBVTT\n\n00:01.000 --> 00:02.000\nHi", "text/plain", "text/vtt"),
        (b"1\n00:00:01,000 --> 00:00:02,000\nHi", "application/x-subrip", "application/x-subrip"),
        ("Zahlen und Größen".encode(), "video/mp4", "text/plain"),
        ("Größe;Zahl".encode("cp1252"), "text/csv", "text/csv"),
        ("Größe;Zahl und noch etwas".encode("utf-16"), "text/csv", "text/csv"),
        ("Größe;Zahl, aber kein Text".encode("cp1252"), "text/plain", None),
        (b"\x00\x01\xff\xfe\x80 no table at all", "text/csv", None),
        (("ä" * 5000).encode()[: rules.HEAD_BYTES - 1] + b"\xc3", None, "text/plain"),
        (b"  <svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", "text/plain", "image/svg+xml"),
        (b"\xef\xbb\xbf<!DOCTYPE html><p>", "text/plain", "text/html"),
        (b"#EXTM3U\nfile:///etc/passwd", "video/mp4", "text/plain"),
        (b"\x00\x01\x02\x03" * 10, "video/mp4", None),
    ],
)
def test_the_bytes_tell_the_type(head: bytes, declared: str | None, found: str | None) -> None:
    assert rules.sniff(head, declared) == found


@given(st.binary(max_size=600), st.sampled_from([None, "video/mp4", "text/plain"]))
def test_any_bytes_have_a_type_or_none(head: bytes, declared: str | None) -> None:
    found = rules.sniff(head, declared)
    assert found is None or rules.declared_type(found) == found


def test_purposes_name_types_by_pattern() -> None:
    purpose = UploadPurpose("p", 1, ("video/*", "application/pdf"), "course:edit", ("course",))
    allowed = [kind for kind in ("video/mp4", "application/pdf", "text/html") if rules.allows(purpose, kind)]
    assert allowed == ["video/mp4", "application/pdf"]


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("Film.mp4", "Film.mp4"),
        ("../../etc/passwd", "passwd"),
        ("C:\\films\\a.mp4", "a.mp4"),
        ("a\r\nSet-Cookie: x.mp4", "aSet-Cookie: x.mp4"),
        ("exe.\u202e4pm.exe", "exe.4pm.exe"),
        ("..", "file"),
        ("", "file"),
        ("x" * 300 + ".mp4", "x" * 251 + ".mp4"),
    ],
)
def test_names_are_cleaned(given_name: str, kept: str) -> None:
    assert rules.clean_filename(given_name) == kept


@given(st.text(max_size=400))
def test_every_cleaned_name_makes_a_header(name: str) -> None:
    kept = rules.clean_filename(name)
    assert 0 < len(kept) <= 255
    assert rules.clean_filename(kept) == kept
    rules.attachment(kept).encode("ascii")


@pytest.mark.parametrize(
    ("header", "span"),
    [
        (None, None),
        ("bytes=0-0", (0, 1)),
        ("bytes=5-", (5, 10)),
        ("bytes=5-100", (5, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-30", (0, 10)),
        ("bytes=9-5", None),
        ("bytes=-", None),
        ("bytes=0-1,3-4", None),
        ("lines=0-1", None),
    ],
)
def test_ranges(header: str | None, span: tuple[int, int] | None) -> None:
    assert rules.requested_range(header, 10) == span


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0"])
def test_ranges_without_a_byte_are_refused(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable) as refused:
        rules.requested_range(header, 10)
    assert refused.value.headers == {"Content-Range": "bytes */10"}


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,20}", fullmatch=True), st.text(max_size=30).filter(lambda t: "\0" not in t)
    )
)
def test_metadata_survives_the_header(fields: dict[str, str]) -> None:
    assert headers.parse_metadata(headers.render_metadata(dict(fields))) == fields


@given(st.text(max_size=60))
def test_any_metadata_is_read_or_refused(text: str) -> None:
    try:
        found = headers.parse_metadata(text)
    except UploadHeaderInvalid:
        return
    assert all("\0" not in value for value in found.values())


@given(st.text(max_size=30))
def test_any_checksum_is_read_or_refused(text: str) -> None:
    try:
        found = headers.parse_checksum(text)
    except UploadHeaderInvalid:
        return
    assert found is not None
    assert headers.ALGORITHMS[found.algorithm] == len(found.digest)
    assert text.split()[1] == base64.b64encode(found.digest).decode()
