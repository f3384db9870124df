"""How many web hosts are wanted, asked as Ray Serve asks: a new Ray may ask otherwise."""

import importlib
import inspect
from typing import Any, cast

import pytest
from ray.serve.config import AutoscalingConfig, AutoscalingContext

from deployments import hosts, scaling


def deployed() -> AutoscalingConfig:
    """Return how the web hosts of a cluster scale."""
    application = hosts.web({"services": ("course",), "replicas": (2, 8), "cpu": 0.5})
    return cast(Any, application)._bound_deployment._deployment_config.autoscaling_config


def context(reported: dict[str, dict[str, float]], *, running: int, config: AutoscalingConfig) -> AutoscalingContext:
    common = importlib.import_module("ray.serve._private.common")
    deployment = common.DeploymentID(name="web", app_name="web")
    return AutoscalingContext(
        deployment_id=deployment,
        deployment_name="web",
        app_name="web",
        current_num_replicas=running,
        target_num_replicas=running,
        running_replicas=[],
        # All that Serve counts: sockets among them.
        total_num_requests=lambda: 9_999.0,
        total_queued_requests=None,
        aggregated_metrics=cast(Any, lambda: reported),
        raw_metrics=None,
        capacity_adjusted_min_replicas=2,
        capacity_adjusted_max_replicas=8,
        policy_state={},
        last_scale_up_time=None,
        last_scale_down_time=None,
        current_time=None,
        config=config,
    )


@pytest.mark.parametrize(
    ("reported", "running", "wanted"),
    [
        pytest.param({}, 3, 3.0, id="nothing is known yet"),
        pytest.param({"short": {"a": 0, "b": 0}, "streams": {"a": 2000, "b": 2500}}, 2, 0.9, id="sockets that idle"),
        pytest.param({"short": {"a": 100, "b": 50}, "streams": {"a": 0, "b": 0}}, 2, 3.0, id="requests"),
        pytest.param({"short": {"a": 50, "b": 50}, "streams": {"a": 5000, "b": 5000}}, 2, 4.0, id="both"),
        pytest.param({"short": {"a": 50, "b": 50}, "streams": {"a": 0, "b": 0}}, 4, 4.0, id="half have reported"),
    ],
)
def test_hosts_are_wanted_for_requests_and_thousands_of_streams(
    reported: dict[str, dict[str, float]], running: int, wanted: float
) -> None:
    assert scaling.wanted_hosts(context(reported, running=running, config=deployed())) == (wanted, {})


def test_serve_scales_web_hosts_by_what_they_report() -> None:
    config = deployed()
    wrap = importlib.import_module("ray.serve.autoscaling_policy")._apply_autoscaling_config
    policy = wrap(cast(Any, config).policy.get_policy())
    config.upscale_delay_s = config.downscale_delay_s = 0

    idle = context({"short": {"a": 1, "b": 2}, "streams": {"a": 3000, "b": 3000}}, running=2, config=config)
    busy = context({"short": {"a": 120, "b": 90}, "streams": {"a": 3000, "b": 3000}}, running=2, config=config)

    assert (config.min_replicas, config.max_replicas) == (2, 8)
    assert [policy(each)[0] for each in (idle, busy)] == [2, 6]


async def test_serve_asks_a_replica_for_what_it_reports() -> None:
    replica = importlib.import_module("ray.serve._private.replica")
    host = hosts.WebReplica.__new__(hosts.WebReplica)
    host._host = cast(Any, Host())  # pyright: ignore[reportPrivateUsage]

    assert '"record_autoscaling_stats"' in inspect.getsource(replica.UserCallableWrapper)
    assert await host.record_autoscaling_stats() == {"short": 3, "streams": 4}


class Host:
    def load(self) -> dict[str, float]:
        return {"short": 3, "streams": 4}
