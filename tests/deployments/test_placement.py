"""Where the services of the table run."""

import pytest

from cluster.base.services import table
from deployments.placement import Placement, place


@pytest.mark.parametrize("placement", ["packed", "namespace", "service"])
def test_every_area_and_path_is_on_exactly_one_cluster(placement: Placement) -> None:
    clusters = place(placement, web_hosts=2)
    assert sorted(area for cluster in clusters for area in cluster.areas) == sorted(
        area for service in table().values() for area in service.areas
    )
    assert sorted(path for cluster in clusters for path in cluster.paths) == sorted(
        path for service in table().values() for path in service.paths
    )
    assert all(cluster.web.services == cluster.worker.services for cluster in clusters)


def test_packed_is_one_cluster_that_leaves_the_cores_to_tasks() -> None:
    (cluster,) = place("packed", web_hosts=3)
    assert set(cluster.web.services) == set(table())
    assert (cluster.web.replicas, cluster.web.cpu) == ((3, 3), 0.0)
    assert (cluster.worker.replicas, cluster.worker.cpu) == ((1, 1), 0.0)


def test_a_service_on_its_own_is_scaled_as_the_table_says() -> None:
    (gateway,) = [cluster for cluster in place("service") if cluster.name == "gateway"]
    declared = table()["gateway"]
    assert (gateway.namespace, gateway.areas, gateway.web.replicas, gateway.web.cpu) == (
        declared.namespace,
        declared.areas,
        declared.replicas,
        declared.cpu,
    )


def test_a_namespace_shares_one_cluster() -> None:
    names = {service.namespace for service in table().values()}
    assert {cluster.name for cluster in place("namespace")} == names
