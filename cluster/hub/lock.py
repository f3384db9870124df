"""Write the lock files: Python packages by uv, jars by Maven."""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cluster.base.settings import REPOSITORY
from cluster.servers import jars

_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>learninghub</groupId><artifactId>{server}</artifactId><version>1</version>
<dependencies>{dependencies}</dependencies></project>"""
_DEPENDENCY = "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>"
_LISTED = re.compile(
    r"(?P<group>[\w.-]+):(?P<artifact>[\w.-]+):jar:((?P<classifier>[\w.-]+):)?(?P<version>[\w.-]+):(compile|runtime)\b"
)


def lock_packages(*, upgrade: bool) -> None:
    """Write `requirements.lock`, and `requirements-test.lock` with the very same versions and the test tools."""
    for name, extras in (("requirements-test.lock", ("--extra", "test")), ("requirements.lock", ())):
        # What is only in the smaller set follows the larger one.
        same = () if extras else ("--constraint", "requirements-test.lock")
        subprocess.run(
            [
                *(Path(sys.prefix) / "bin" / "uv", "pip", "compile", "pyproject.toml", *extras, *same),
                *("--universal", "--python-version", "3.11", "--generate-hashes"),
                *("--no-emit-index-url", "--no-emit-find-links", "--no-annotate", "--no-header", "--quiet"),
                *(("--upgrade",) if upgrade else ()),
                *("--output-file", name),
            ],
            cwd=REPOSITORY,
            check=True,
            stdout=subprocess.DEVNULL,
        )


def lock_jars() -> None:
    """Write `jars.lock` from what Maven resolves for each server.

    Raises:
        RuntimeError: Maven is not installed.
    """
    if not shutil.which("mvn"):
        raise RuntimeError("writing jars.lock needs Maven (mvn) on the PATH; using it does not")
    lines: list[str] = []
    for server, roots in jars.ROOTS.items():
        with tempfile.TemporaryDirectory() as folder:
            lines += sorted(_resolve(server, roots, Path(folder)))
    jars.LOCK.write_text("".join(f"{line}\n" for line in lines))


def _resolve(server: str, roots: tuple[str, ...], folder: Path) -> list[str]:
    dependencies = "".join(_DEPENDENCY.format(*root.split(":")) for root in roots)
    (folder / "pom.xml").write_text(_POM.format(server=server, dependencies=dependencies))
    goals = ("dependency:list", "dependency:copy-dependencies")
    options = (
        "-DincludeScope=runtime",
        "-DoutputFile=list",
        "-DoutputDirectory=lib",
        "-Dmdep.useRepositoryLayout=true",
    )
    subprocess.run(["mvn", "-B", "-q", *goals, *options], cwd=folder, check=True)
    lines: list[str] = []
    for match in _LISTED.finditer((folder / "list").read_text()):
        jar = jars.Jar(server, match["group"], match["artifact"], match["version"], match["classifier"] or "", "")
        digest = jars.sha256(folder / "lib" / jar.path.relative_to(jars.FOLDER))
        lines.append(jars.Jar(server, jar.group, jar.artifact, jar.version, jar.classifier, digest).line())
    return lines
