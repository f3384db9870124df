"""Fetch exactly the jars that `jars.lock` pins: from the local Maven repository or from Maven Central.

Each is fetched by itself. Letting a client resolve transitively at run time gave another set than Maven's,
with versions mixed.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from jgo.maven import MavenContext

from cluster.base.settings import REPOSITORY

LOCK = REPOSITORY / "jars.lock"
FOLDER = REPOSITORY / ".hub" / "jars"
OPENSEARCH = "3.8.0"
_PLUGINS = (
    *("transport-netty4-client", "analysis-common", "lang-painless", "reindex-client", "mapper-extras-client"),
    *("parent-join-client", "percolator-client", "rank-eval-client", "aggs-matrix-stats-client"),
    *("lang-mustache-client", "ingest-common"),
)
ROOTS = {
    "kafka": ("org.apache.kafka:kafka_2.13:4.4.0", "org.slf4j:slf4j-simple:1.7.36"),
    "opensearch": (
        *(f"org.opensearch:{name}:{OPENSEARCH}" for name in ("opensearch", "opensearch-plugin-classloader")),
        f"org.opensearch:opensearch-agent-bootstrap:{OPENSEARCH}",
        # Not among what those need.
        "org.apache.logging.log4j:log4j-core:2.25.4",
        "com.ibm.icu:icu4j-localespi:77.1",
        *(f"org.opensearch.plugin:{name}:{OPENSEARCH}" for name in _PLUGINS),
    ),
}
"""What each server is started from; `./hub lock` asks Maven what they need."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock. `classifier` is empty for most."""

    server: str
    group: str
    artifact: str
    version: str
    classifier: str
    sha256: str

    @property
    def path(self) -> Path:
        suffix = f"-{self.classifier}" if self.classifier else ""
        folder = FOLDER.joinpath(*self.group.split("."), self.artifact, self.version)
        return folder / f"{self.artifact}-{self.version}{suffix}.jar"

    def line(self) -> str:
        return f"{self.server} {self.group}:{self.artifact}:{self.version}:{self.classifier} sha256:{self.sha256}"


def locked() -> list[Jar]:
    """Read the lock."""
    jars: list[Jar] = []
    for line in LOCK.read_text().splitlines():
        server, coordinates, digest = line.split()
        group, artifact, version, classifier = coordinates.split(":")
        jars.append(Jar(server, group, artifact, version, classifier, digest.removeprefix("sha256:")))
    return jars


def paths(server: str) -> list[Path]:
    """Return the jars of a server, in the order of its class path.

    Raises:
        RuntimeError: one is not here.
    """
    found = [jar.path for jar in locked() if jar.server == server]
    if missing := [path.name for path in found if not path.exists()]:
        raise RuntimeError(
            f"{len(missing)} jars of {server} are missing ({missing[0]}, ...): run ./hub up, which fetches them"
        )
    return found


def missing(jars: Iterable[Jar]) -> list[Jar]:
    """Return the jars that are not here as they were locked."""
    return [jar for jar in jars if not jar.path.exists() or sha256(jar.path) != jar.sha256]


def fetch(jars: Iterable[Jar], arrived: Callable[[Jar], None]) -> None:
    """Fetch jars a few at a time; call `arrived` after each.

    Raises:
        RuntimeError: one cannot be had, or is not what was locked.
    """
    with ThreadPoolExecutor(8) as threads:
        for jar in threads.map(_fetch, jars):
            arrived(jar)


def _fetch(jar: Jar) -> Jar:
    local = Path.home() / ".m2" / "repository" / jar.path.relative_to(FOLDER)
    if local.exists() and sha256(local) == jar.sha256:
        jar.path.parent.mkdir(parents=True, exist_ok=True)
        partial = jar.path.with_suffix(".partial")
        shutil.copyfile(local, partial)
        partial.rename(jar.path)
        return jar
    jar.path.unlink(missing_ok=True)
    component = MavenContext(repo_cache=FOLDER, timeout=60).project(jar.group, jar.artifact).at_version(jar.version)
    try:
        path = component.artifact(classifier=jar.classifier, packaging="jar").resolve()
    except Exception as error:
        raise RuntimeError(
            f"cannot fetch {jar.path.name}: {error}. Check the network and run ./hub up again"
        ) from error
    if (digest := sha256(path)) != jar.sha256:
        path.unlink()
        raise RuntimeError(f"{jar.path.name} is not the file that jars.lock pins: its sha256 is {digest}")
    return jar


def sha256(path: Path) -> str:
    """Return the digest of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
