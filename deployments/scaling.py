"""How many web hosts the load wants. Serve's own policy counts an open socket as a request: 50 tabs would start a host."""

from collections.abc import Mapping
from typing import Any

from ray.serve.config import AutoscalingContext

SHORT_PER_HOST = 50
"""Requests in work."""
STREAMS_PER_HOST = 5_000
"""Live connections, uploads and films on their way."""


def wanted_hosts(context: AutoscalingContext) -> tuple[float, dict[str, Any]]:
    """Return how many web hosts carry what all of them report; as many as there should be while none reports.

    A host that has not reported counts like the others. Serve applies the bounds and delays. Source: Ray Serve,
    Advanced autoscaling, Custom autoscaling policies.
    """
    reported: Mapping[str, Mapping[Any, float]] = context.aggregated_metrics or {}
    hosts = reported.get("short", {})
    if not hosts:
        return float(context.target_num_replicas), {}
    load = sum(hosts.values()) / SHORT_PER_HOST + sum(reported.get("streams", {}).values()) / STREAMS_PER_HOST
    return load * max(1.0, context.current_num_replicas / len(hosts)), {}
