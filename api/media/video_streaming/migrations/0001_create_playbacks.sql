CREATE TABLE video_streaming.playbacks (
    id             uuid PRIMARY KEY,
    org_id         uuid NOT NULL,
    course_id      uuid NOT NULL,
    run_id         uuid,
    user_id        uuid NOT NULL,
    enrollment_id  uuid,
    block_id       uuid,
    block_version  integer,
    min_ratio      double precision,
    video_id       uuid NOT NULL,
    duration_s     double precision NOT NULL CHECK (duration_s > 0),
    created_at     timestamptz NOT NULL,
    expires_at     timestamptz NOT NULL,
    CHECK ((run_id IS NULL) = (block_id IS NULL) AND (run_id IS NULL) = (block_version IS NULL)),
    CHECK (enrollment_id IS NULL OR run_id IS NOT NULL)
);
COMMENT ON TABLE video_streaming.playbacks IS 'person: who was let in to which film, and until when';
CREATE INDEX playbacks_of_person ON video_streaming.playbacks (user_id, id DESC);
CREATE INDEX playbacks_to_purge ON video_streaming.playbacks (expires_at);
