CREATE TABLE video_processing.videos (
    id            uuid PRIMARY KEY,
    org_id        uuid NOT NULL,
    course_id     uuid NOT NULL,
    asset_id      uuid NOT NULL,
    state         text NOT NULL CHECK (state IN ('queued', 'processing', 'ready', 'failed', 'cancelled')),
    take          integer NOT NULL DEFAULT 1,
    progress      double precision NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 1),
    duration_s    double precision CHECK ((duration_s IS NOT NULL) = (state = 'ready')),
    renditions    jsonb NOT NULL DEFAULT '[]',
    has_poster    boolean NOT NULL DEFAULT false,
    error_code    text CHECK ((error_code IS NOT NULL) = (state = 'failed')),
    error_detail  text,
    retryable     boolean NOT NULL DEFAULT false,
    coordinator   uuid,
    seen_alive_at timestamptz,
    rescues       integer NOT NULL DEFAULT 0,
    version       bigint NOT NULL DEFAULT 1,
    created_by    uuid,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL
) WITH (fillfactor = 70);
COMMENT ON TABLE video_processing.videos IS 'org: films made of uploads';
COMMENT ON COLUMN video_processing.videos.take IS 'counts the times that processing began anew; names the objects';
COMMENT ON COLUMN video_processing.videos.coordinator IS 'who works on it: whoever does not stand here may not write';
COMMENT ON COLUMN video_processing.videos.rescues IS 'times that its coordinator vanished for good';
CREATE UNIQUE INDEX videos_asset ON video_processing.videos (asset_id);
CREATE INDEX videos_of_organization ON video_processing.videos (org_id, id DESC);
CREATE INDEX videos_of_course ON video_processing.videos (course_id, id DESC);
CREATE INDEX videos_processing ON video_processing.videos (id) WHERE state = 'processing';

CREATE TABLE video_processing.plans (
    video_id      uuid PRIMARY KEY REFERENCES video_processing.videos,
    org_id        uuid NOT NULL,
    plan          bytea NOT NULL
);
COMMENT ON TABLE video_processing.plans IS 'org: how films that are processed now are cut and encoded (MessagePack)';

CREATE TABLE video_processing.tasks (
    video_id      uuid NOT NULL REFERENCES video_processing.videos,
    number        integer NOT NULL,
    org_id        uuid NOT NULL,
    state         text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done')),
    attempts      integer NOT NULL DEFAULT 0,
    tracks        bytea CHECK ((tracks IS NOT NULL) = (state = 'done')),
    PRIMARY KEY (video_id, number)
);
COMMENT ON TABLE video_processing.tasks IS 'org: the pieces of films that are processed now, and what came of them (MessagePack)';

CREATE TABLE video_processing.streams (
    video_id      uuid PRIMARY KEY REFERENCES video_processing.videos,
    org_id        uuid NOT NULL,
    playlists     jsonb NOT NULL
);
COMMENT ON TABLE video_processing.streams IS 'org: playlists of ready films';
