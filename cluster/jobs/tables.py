"""Read tables that people bring: CSV in the encodings and with the separators that spreadsheets write.

Source: RFC 4180; the byte order mark of Unicode (section 23.8); Windows-1252 where a file is no UTF-8.
"""

import codecs
import csv
import io
from collections.abc import Iterator
from typing import BinaryIO

from cluster.base.problems import FieldError, Invalid

MAX_COLUMNS = 200
_PIECE_BYTES = 64 * 1024
_SEPARATORS = (",", ";", "\t")


def encoding_of(file: BinaryIO) -> str:
    """Return the encoding of a file: UTF-16 with its mark, UTF-8 with or without, else Windows-1252."""
    file.seek(0)
    if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while piece := file.read(_PIECE_BYTES):
            decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"


def rows_of(
    file: BinaryIO, encoding: str, *, columns: frozenset[str], required: frozenset[str]
) -> Iterator[dict[str, str]]:
    """Yield each row of a file as its non-empty cells by column, and read no more of the file than that needs.

    Names of columns are compared without case and outer spaces.

    Raises:
        Invalid: there is no header, or it lacks a required column, has an unknown one, or one twice; or a row cannot be read.
    """
    number = 0
    text = io.TextIOWrapper(file, encoding, errors="replace", newline="")
    try:
        text.seek(0)
        first = text.readline(_PIECE_BYTES)
        text.seek(0)
        separator = max(_SEPARATORS, key=first.count)
        reader = csv.reader(text, delimiter=separator, strict=False)
        header = [name.strip().lower().replace(" ", "_") for name in next(reader, [])]
        _check_header(header, columns, required)
        for cells in reader:
            row = {name: value for name, each in zip(header, cells, strict=False) if (value := _plain(each))}
            if row:
                number += 1
                yield row
    except csv.Error as error:
        limit = f"a cell has more than {csv.field_size_limit():,} characters"
        fault = FieldError(
            f"/rows/{number + 1}", "row-unreadable", f"{limit}: look for a quotation mark that is not closed"
        )
        raise Invalid(fault.detail, errors=(fault,)) from error
    finally:
        text.detach()


def _plain(cell: str) -> str:
    return cell.strip().replace("\0", "")


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
