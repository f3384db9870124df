"""Write what follows from the code: the merged OpenAPI document, the AsyncAPI document, the index of services,
the lines that the README links to,
the contracts' lock, and a golden document for each new event.

`python -m deployments.generate` writes them, `--check` only says which are stale.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

from cluster.base.registry import load, room
from cluster.base.services import table
from cluster.base.settings import REPOSITORY
from cluster.events import event_types
from cluster.events.asyncapi import asyncapi
from cluster.http import build_app, openapi
from deployments import contracts

OPENAPI = REPOSITORY / "api" / "core" / "gateway" / "openapi.json"
ASYNCAPI = OPENAPI.with_name("asyncapi.json")
INDEX = REPOSITORY / "docs" / "services.md"
README = REPOSITORY / "README.md"
CONTRACTS = REPOSITORY / "api" / "contracts.lock.json"
GOLDEN = REPOSITORY / "tests" / "platform" / "golden"


BROKEN = """Hosts of the release before still write and read these. Keep the field, add new ones with a default, or declare
a new event, job or call beside the old one. ./hub generate --allow-break locks it all the same.
"""


def openapi_document() -> str:
    """Merge the documents of all services."""
    apps = [build_app([routes.router]) for name in table() if (routes := room(name, "routes")) is not None]
    return json.dumps(openapi(apps), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def asyncapi_document() -> str:
    """Describe the events of all services."""
    load(table(), "contract")
    kinds = [kind for kind in event_types() if kind.service in table()]
    return json.dumps(asyncapi(kinds), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def service_index() -> str:
    """List the services as a page of the documentation."""
    lines = [
        "# The services",
        "",
        "Generated from `deployments/` by `./hub generate`.",
        "",
        "| service | areas | port | rank | replicas | what it is for |",
        "|---|---|---|---|---|---|",
    ]
    for service in table().values():
        package = __import__(service.package, fromlist=["__doc__"])
        purpose = " ".join((package.__doc__ or "").split("\n\n")[0].split())
        areas = ", ".join(f"`{area}`" for area in service.areas)
        rank = "beside" if service.rank == 99 else str(service.rank)
        low, high = service.replicas
        lines.append(
            f"| [{service.name}](../{service.package.replace('.', '/')}) | {areas} | {service.port} | {rank} "
            f"| {low} to {high} | {purpose} |"
        )
    return "\n".join(lines) + "\n"


def readme() -> str:
    """Point the links of the README to the lines where the named things stand now.

    Raises:
        LookupError: a link names what its file does not define.
    """

    def relocate(match: re.Match[str]) -> str:
        name, path = match["name"], match["path"]
        for number, line in enumerate((REPOSITORY / path).read_text().splitlines(), 1):
            if re.match(rf"\s*(async def|def|class) {re.escape(name)}\b", line):
                return f"[`{name}`]({path}#L{number})"
        raise LookupError(f"README.md: {path} does not define {name}")

    return re.sub(r"\[`(?P<name>\w+)`\]\((?P<path>[\w/.]+)#L\d+\)", relocate, README.read_text())


def generated() -> dict[Path, str]:
    """Return the text of every derived file."""
    return {
        OPENAPI: openapi_document(),
        ASYNCAPI: asyncapi_document(),
        INDEX: service_index(),
        README: readme(),
        CONTRACTS: json.dumps(contracts.lock(), indent=1) + "\n",
        **new_golden_documents(),
    }


def new_golden_documents() -> dict[Path, str]:
    """Return a document for each event of which none is committed. One that is committed stays as its release wrote it."""
    load(table(), "contract")
    kinds = {GOLDEN / f"{kind.name}.json": kind for kind in event_types() if kind.service in table()}
    kept = {path for path in kinds if path.exists()}
    listed = _git("ls-tree", "--name-only", "HEAD", f"{GOLDEN.relative_to(REPOSITORY).as_posix()}/")
    if listed is not None:
        kept &= {REPOSITORY / name for name in listed.splitlines()}
    return {
        path: json.dumps(json.loads(contracts.golden(kind)), indent=1) + "\n"
        for path, kind in kinds.items()
        if path not in kept
    }


def _git(*arguments: str) -> str | None:
    """Return what git says of this checkout; None when it refuses, or this is no checkout."""
    if not (REPOSITORY / ".git").exists():
        return None
    asked = subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return asked.stdout if asked.returncode == 0 else None


def committed(path: Path) -> str | None:
    """Return the text of a file as the last commit has it, without git as it stands here; None: it was never committed."""
    if not (REPOSITORY / ".git").exists() or not path.is_relative_to(REPOSITORY):
        return path.read_text() if path.exists() else None
    return _git("show", f"HEAD:{path.relative_to(REPOSITORY).as_posix()}")


def broken_contracts(now: str) -> list[str]:
    """Return what the committed lock promises and the code does not keep: what is not committed yet may change."""
    locked = committed(CONTRACTS)
    if locked is None:
        return []
    try:
        before = json.loads(locked)
    except json.JSONDecodeError:
        return [
            f"{CONTRACTS.relative_to(REPOSITORY)} is no JSON: take the side of the main branch, then generate again"
        ]
    return contracts.breaks(before, json.loads(now))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is stale")
    parser.add_argument("--allow-break", action="store_true", help="lock contracts that break what is locked")
    asked = parser.parse_args()
    check, texts = asked.check, generated()
    broken = [] if asked.allow_break else broken_contracts(texts[CONTRACTS])
    if broken:
        sys.stdout.write("\n".join(broken) + "\n" + BROKEN)
        return 1
    stale = [path for path, text in texts.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        name = path.relative_to(REPOSITORY)
        if check:
            sys.stdout.write(f"{name} is stale: run ./hub generate and commit it\n")
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(texts[path])
            sys.stdout.write(f"wrote {name}\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
