"""`./hub new <namespace>/<service>`: write the rooms of a service that already works, with its table, events, recipes and tests.

What it writes looks like `api/learning/course`: things with a title, of an organization or of a person, that are created, listed,
changed, deleted, restored and purged. The rooms stand in `template/`. Rename the thing, then grow it.
"""

import re
import subprocess
import sys
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from cluster.base.services import table
from cluster.base.settings import REPOSITORY

_NAME = re.compile(r"^[a-z][a-z0-9_]{1,30}$")
_TEMPLATES = Path(__file__).parent / "template"
_OF = ("org", "person")


class _Template(Template):
    """`~thing` in a room stands for the name; a line that ends in `#org` or `#person` is of that kind of service alone."""

    delimiter = "~"


def write_service(
    namespace: str, service: str, root: Path = REPOSITORY, *, things: str | None = None, of: str = "org"
) -> list[Path]:
    """Write the rooms, the tests and the line in the service table; return the files.

    `things` is the plural of the service's name where an "s" does not make it. `of` says whose the things are: an
    organization's ("org") or a person's ("person").

    Raises:
        ValueError: a name is not one, or the service exists.
    """
    if of not in _OF:
        raise ValueError(f"'{of}': things are of one of {', '.join(_OF)}")
    things = things or f"{service}s"
    for name in (namespace, service, things):
        if not _NAME.match(name):
            raise ValueError(f"'{name}': names are lower-case letters, digits and _: engagement/code_review")
    folder = root / "api" / namespace / service
    if service in table() or folder.exists():
        raise ValueError(f"{service} exists already")
    names = {
        "namespace": namespace,
        "service": service,
        "thing": service,
        "THING": service.upper(),
        "Thing": "".join(word.title() for word in service.split("_")),
        "slug": service.replace("_", "-"),
        "things": things,
        "THINGS": things.upper(),
        "Things": "".join(word.title() for word in things.split("_")),
        "words": service.replace("_", " "),
        "many": things.replace("_", " "),
        "area": things.replace("_", "-"),
        "owner": "user_id" if of == "person" else "org_id",
        "Owner": "UserId" if of == "person" else "OrgId",
    }
    tests = root / "tests" / "api" / namespace / service
    written = [*_write("service", folder, of, names), *_write("tests", tests, of, names)]
    for package in (root / "api" / namespace, tests, tests.parent):
        (package / "__init__.py").touch()
    written.append(_declare(root / "deployments" / f"{namespace}.py", namespace, names))
    python = [str(path) for path in written if path.suffix == ".py"]
    style = ("--quiet", "--config", str(REPOSITORY / "pyproject.toml"))
    for command in (("format",), ("check", "--fix", "--select", "I")):
        subprocess.run([sys.executable, "-m", "ruff", *command, *style, *python], check=True)
    return written


def _write(template: str, folder: Path, of: str, names: dict[str, str]) -> list[Path]:
    """Fill in every file of a template; return what was written."""
    written: list[Path] = []
    for source in sorted((_TEMPLATES / template).rglob("*.txt")):
        name = _Template(str(source.relative_to(_TEMPLATES / template))).substitute(names).removesuffix(".txt")
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_Template(_lines_of(of, source.read_text())).substitute(names))
        written.append(path)
    return written


def _lines_of(of: str, text: str) -> str:
    """Leave out the lines of other kinds of service."""
    kept = (re.fullmatch(r"(.*?)(?:  #(org|person))?", line) for line in text.splitlines())
    return "".join(f"{line[1]}\n" for line in kept if line is not None and line[2] in (None, of))


def _declare(path: Path, namespace: str, names: dict[str, str]) -> Path:
    port = max([3047, *(service.port for service in table().values())]) + 1
    line = f'    Service(name="{names["service"]}", areas=("{names["area"]}",), port={port}, rank=7),\n'
    if not path.exists():
        path.write_text(
            f'"""{namespace.title()}."""\n\nfrom cluster.base.services import Service\n\nSERVICES = (\n{line})\n'
        )
        return path
    text = path.read_text().rstrip()
    if text.endswith(",)"):
        text = re.sub(r"SERVICES = \((.*),\)$", r"SERVICES = (\n    \1,\n)", text, flags=re.S)
    path.write_text(text.removesuffix(")") + line + ")\n")
    return path


def main(
    service: Annotated[str, typer.Argument(help="<namespace>/<service>, like engagement/forum")],
    things: Annotated[str | None, typer.Option(help="The plural, where an s does not make it: quizzes.")] = None,
    of: Annotated[str, typer.Option(help="Whose the things are: org or person.")] = "org",
) -> None:
    """Write the rooms of a new service, with tests that pass."""
    namespace, _, name = service.partition("/")
    if not name:
        typer.echo(f"hub new: say NAMESPACE/{namespace}, like engagement/forum", err=True)
        sys.exit(2)
    try:
        written = write_service(namespace, name, things=things, of=of)
    except ValueError as error:
        typer.echo(f"hub new: {error}", err=True)
        sys.exit(2)
    for path in written:
        typer.echo(f"wrote {path.relative_to(REPOSITORY)}")
    typer.echo(
        f"Next: ./hub generate, then ./hub test tests/api/{namespace}/{name} tests/platform.\n"
        f"Then say in api/{namespace}/{name}/__init__.py what it is for, set its rank in deployments/{namespace}.py\n"
        f"(it may call lower ranks only), and read docs/contribute.md. ./hub serve {name} runs it beside ./hub up."
    )


if __name__ == "__main__":
    typer.run(main)
