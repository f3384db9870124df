from actors import performers
from cluster import jobs


def test_the_worker_host_knows_who_performs_what_services_only_declare() -> None:
    performers.load()
    declared = {each.kind: each.service for each in jobs.job_types(("video_processing",))}
    assert declared["video_processing.transcode"] == "video_processing"
    assert jobs.perform_of("video_processing.transcode").__module__ == "actors.transcoding"
