"""An S3 endpoint over a folder: `rclone serve s3`, with signatures checked."""

import asyncio
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import boto3
from botocore.config import Config

from cluster.servers.home import Home
from cluster.servers.server import Launch, inherited_environment

REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class S3:
    home: Home
    name: str = "s3"
    ports: tuple[str, ...] = ("s3",)
    stop_signal: signal.Signals = signal.SIGTERM
    stop_grace_s: float = 10
    start_limit_s: float = 60

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.home.port('s3')}"

    @property
    def access_key(self) -> str:
        return self.home.secret("s3-access")[:20]

    @property
    def secret_key(self) -> str:
        return self.home.secret("s3-secret")

    @property
    def places(self) -> tuple[Path, ...]:
        return (self.home.path / "s3",)

    async def prepare(self) -> None:
        self.places[0].mkdir(mode=0o700, parents=True, exist_ok=True)

    def launch(self) -> Launch:
        folder = self.places[0]
        program = Path(sys.prefix) / "bin" / "rclone"
        address = f"127.0.0.1:{self.home.port('s3')}"
        # The keys in the environment, because arguments are visible to every account of the machine.
        # The inner quotes make one value of the pair: rclone splits lists at commas.
        keys = f'"{self.access_key},{self.secret_key}"'
        env = inherited_environment() | {"RCLONE_AUTH_KEY": keys, "RCLONE_CONFIG": ""}
        return Launch((str(program), "serve", "s3", str(folder), "--addr", address), folder, env)

    async def ready(self) -> None:
        await asyncio.to_thread(self._list_buckets)

    def _list_buckets(self) -> None:
        client = cast("Any", boto3).client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=REGION,
            config=Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1}, proxies={}),
        )
        client.list_buckets()
