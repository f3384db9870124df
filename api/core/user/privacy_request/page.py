"""The page of an export: what each service keeps, as tables that open in a browser without network and without scripts.

Everything that comes from a row is escaped. Source: WCAG 2.2 (1.3.1 headings, captions and header cells; 3.1.1 language).
"""

import json
from collections.abc import AsyncIterable, AsyncIterator
from html import escape
from typing import Any
from urllib.parse import quote

from cluster.people.export import ExportedFile, ExportedRow, ExportedTable, Line

_STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 75rem; padding: 1rem; color: #1a1a1a; background: #fff; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 0.5rem 0 1.5rem; }
caption { text-align: left; font-weight: 600; padding: 0.25rem 0; }
th, td { border: 1px solid #767676; padding: 0.25rem 0.5rem; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th { background: #f0f0f0; }
"""


def opening(services: list[str], *, subject: str, made_at: str) -> str:
    """Return everything up to the first service; `subject` says whose data these are."""
    links = "".join(f'<li><a href="#{escape(name)}">{escape(_title(name))}</a></li>' for name in services)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Your data in LearningHub</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>Your data in LearningHub</h1>
<p>{escape(subject)} Made at {escape(made_at)}. The same data lie beside this page for programs, in the folder
<code>data</code>; the files that you uploaded are in the folder <code>files</code>.</p>
</header>
<nav aria-label="Services"><ul>{links}</ul></nav>
<main>
"""


CLOSING = "</main>\n</body>\n</html>\n"


async def section(service: str, lines: AsyncIterable[Line], missing: set[str]) -> AsyncIterator[str]:
    """Stream the section of a service; the files of which nothing is there any more are in `missing`."""
    name = escape(service)
    yield f'<section id="{name}" aria-labelledby="{name}-title">\n<h2 id="{name}-title">{escape(_title(service))}</h2>\n'
    yield f'<p><a href="data/{name}.json">data/{name}.json</a></p>\n'
    table: ExportedTable | None = None
    rows = files = number = 0
    async for line in lines:
        match line:
            case ExportedFile():
                if not files:
                    yield f'<h3 id="{name}-files">Files</h3>\n<ul aria-labelledby="{name}-files">\n'
                files += 1
                yield _file(line, missing)
            case ExportedTable():
                yield _end(table, rows, files if table is None else 0)
                table, rows, number = line, 0, number + 1
                yield _table(line)
            case ExportedRow():
                assert table is not None
                if not rows:
                    yield _head(table, f"{name}-{number}")
                rows += 1
                yield f"<tr>{''.join(f'<td>{_shown(line.values.get(each))}</td>' for each in table.columns)}</tr>\n"
    yield _end(table, rows, files if table is None else 0)
    yield "</section>\n"


def _file(file: ExportedFile, missing: set[str]) -> str:
    if file.path in missing:
        return f"<li>{escape(file.name)}: was deleted while this was made</li>\n"
    return f'<li><a href="{escape(quote(file.path))}">{escape(file.name)}</a></li>\n'


def _table(table: ExportedTable) -> str:
    return (
        f"<h3>{escape(table.table)}</h3>\n<p>Purpose: {escape(table.purpose)}. Kept {escape(table.kept)}. "
        f"These are the rows with your id as <code>{escape(table.about)}</code>.</p>\n"
    )


def _head(table: ExportedTable, id: str) -> str:
    cells = "".join(f'<th scope="col">{escape(each)}</th>' for each in table.columns)
    return (
        f'<div class="wide" role="region" aria-labelledby="{id}" tabindex="0">\n<table>\n'
        f'<caption id="{id}">{escape(table.table)} by {escape(table.about)}</caption>\n<thead><tr>{cells}</tr></thead>\n<tbody>\n'
    )


def _end(table: ExportedTable | None, rows: int, files: int) -> str:
    if table is None:
        return "</ul>\n" if files else ""
    return "</tbody>\n</table>\n</div>\n" if rows else "<p>There are none.</p>\n"


def _shown(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case list() | dict():
            return f"<code>{escape(json.dumps(value, ensure_ascii=False))}</code>"
        case _:
            return escape(str(value))


def _title(service: str) -> str:
    return service.replace("_", " ").capitalize()
