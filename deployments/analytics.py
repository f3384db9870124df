"""Analytics: what is found, counted and recommended."""

from cluster.base.services import Service

SERVICES = (Service(name="search", areas=("search", "search-pins"), port=3030, rank=10),)
