"""The servers that a laptop must bring along: PostgreSQL, Valkey, Kafka, S3 and OpenSearch, embedded and supervised."""

import shutil

from cluster.servers.home import Home
from cluster.servers.kafka import USER as KAFKA_USER
from cluster.servers.kafka import Kafka
from cluster.servers.opensearch import OpenSearch
from cluster.servers.postgres import Postgres
from cluster.servers.s3 import REGION, S3
from cluster.servers.server import Server
from cluster.servers.valkey import Valkey

__all__ = ["Home", "Server", "delete", "embedded_servers", "environment"]


def embedded_servers(home: Home) -> list[Server]:
    """Return the servers of a home; they may start side by side."""
    servers: list[Server] = [Postgres(home), Valkey(home), Kafka(home), S3(home)]
    return servers if home.lite else [*servers, OpenSearch(home)]


def environment(home: Home) -> dict[str, str]:
    """Return the `HUB_*` settings of every process that uses the servers of a home."""
    s3, kafka = S3(home), Kafka(home)
    return {
        "HUB_HOME": str(home.path),
        "HUB_PORT": str(home.port("http")),
        "HUB_PUBLIC_URL": f"http://127.0.0.1:{home.port('http')}",
        "HUB_LOCAL_MAIL": "1",
        "HUB_SECRET": home.secret("hub"),
        "HUB_POSTGRES_URL": Postgres(home).url,
        "HUB_REDIS_URL": Valkey(home).url,
        "HUB_KAFKA_BOOTSTRAP": kafka.bootstrap,
        "HUB_KAFKA_USER": KAFKA_USER,
        "HUB_KAFKA_PASSWORD": kafka.password,
        "HUB_S3_ENDPOINT": s3.endpoint,
        "HUB_S3_REGION": REGION,
        "HUB_S3_ACCESS_KEY": s3.access_key,
        "HUB_S3_SECRET_KEY": s3.secret_key,
        "HUB_OPENSEARCH_URL": "" if home.lite else OpenSearch(home).url,
    }


def delete(home: Home) -> None:
    """Delete all data, logs and state of a home whose servers do not run; the environment and the jars stay."""
    for server in (*embedded_servers(home), OpenSearch(home)):
        for place in server.places:
            shutil.rmtree(place, ignore_errors=True)
    for folder in ("logs", "run", "serve"):
        shutil.rmtree(home.path / folder, ignore_errors=True)
    for file in home.path.glob("*.json"):
        file.unlink()
