"""Read tables that people bring: CSV in the encodings and with the separators that spreadsheets write.

Source: RFC 4180; the byte order mark of Unicode (section 23.8); Windows-1252 where a file is no UTF-8.
"""

import csv
import io
from collections.abc import Iterator

from cluster.base.problems import FieldError, Invalid

MAX_COLUMNS = 200
_SEPARATORS = (",", ";", "\t")


def decode(content: bytes) -> str:
    """Return the text of a file: UTF-16 with its mark, UTF-8 with or without, else Windows-1252."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def rows_of(content: bytes, *, columns: frozenset[str], required: frozenset[str]) -> Iterator[dict[str, str]]:
    """Yield each row as its non-empty cells by column. Names of columns are compared without case and outer spaces.

    Raises:
        Invalid: there is no header, or it lacks a required column, has an unknown one, or one twice.
    """
    text = decode(content)
    first = text.partition("\n")[0]
    separator = max(_SEPARATORS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=False)
    header = [name.strip().lower().replace(" ", "_") for name in next(reader, [])]
    _check_header(header, columns, required)
    for cells in reader:
        row = {name: cell.strip().replace("\0", "") for name, cell in zip(header, cells, strict=False) if cell.strip()}
        if row:
            yield row


def _check_header(header: list[str], columns: frozenset[str], required: frozenset[str]) -> None:
    known = ", ".join(sorted(columns))
    errors = [
        FieldError(f"/columns/{name}", "column-unknown", f"take this column out; the columns are {known}")
        for name in header[:MAX_COLUMNS]
        if name not in columns
    ]
    errors += [
        FieldError(f"/columns/{name}", "column-missing", f"add this column to the first row; the columns are {known}")
        for name in sorted(required - set(header))
    ]
    if len(header) != len(set(header)):
        errors.append(FieldError("/columns", "column-twice", "name each column once in the first row"))
    if errors:
        raise Invalid("the first row of the table must name its columns", errors=tuple(errors))


def cell(text: object) -> str:
    """Return a cell for a report. A text that a spreadsheet would take for a formula gets an apostrophe before it.

    Source: OWASP, CSV Injection.
    """
    plain = "" if text is None else str(text)
    return f"'{plain}" if plain[:1] in ("=", "+", "-", "@", "\t", "\r") else plain
