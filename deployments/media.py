"""Media: files and films."""

from cluster.base.services import Service

SERVICES = (
    Service(name="media", areas=("uploads", "assets"), port=3006, rank=1, memory_mib=512),
    Service(name="video_processing", areas=("videos",), port=3015, rank=2, replicas=(5, 20), cpu=1.0, memory_mib=1024),
    Service(name="video_streaming", areas=("playbacks",), port=3016, rank=6, replicas=(5, 20)),
)
