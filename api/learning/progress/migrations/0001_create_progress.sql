CREATE TABLE progress.learners (
    enrollment_id       uuid PRIMARY KEY,
    org_id              uuid NOT NULL,
    course_id           uuid NOT NULL,
    run_id              uuid NOT NULL,
    user_id             uuid NOT NULL,
    learns              boolean NOT NULL,
    enrollment_version  bigint NOT NULL,
    completed_at        timestamptz,
    completed_revision  integer,
    version             bigint NOT NULL DEFAULT 0,
    CHECK ((completed_at IS NULL) = (completed_revision IS NULL))
);
COMMENT ON TABLE progress.learners IS 'person: who learns where, after enrollment, and whether they finished';
CREATE INDEX learners_of_run ON progress.learners (run_id, enrollment_id DESC);
CREATE INDEX learners_of_person ON progress.learners (user_id, run_id);
CREATE INDEX learners_unfinished ON progress.learners (run_id, enrollment_id) WHERE learns AND completed_at IS NULL;

CREATE TABLE progress.completions (
    enrollment_id  uuid NOT NULL,
    block_id       uuid NOT NULL,
    block_version  integer NOT NULL,
    org_id         uuid NOT NULL,
    course_id      uuid NOT NULL,
    run_id         uuid NOT NULL,
    user_id        uuid NOT NULL,
    completed_at   timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL,
    PRIMARY KEY (enrollment_id, block_id, block_version)
);
COMMENT ON TABLE progress.completions IS 'person: which version of which block somebody has done; never deleted but by erasure';
CREATE INDEX completions_of_person ON progress.completions (user_id);

CREATE TABLE progress.watched (
    enrollment_id  uuid NOT NULL,
    block_id       uuid NOT NULL,
    video_id       uuid NOT NULL,
    org_id         uuid NOT NULL,
    course_id      uuid NOT NULL,
    run_id         uuid NOT NULL,
    user_id        uuid NOT NULL,
    block_version  integer NOT NULL,
    min_ratio      double precision,
    duration_ms    bigint NOT NULL CHECK (duration_ms > 0),
    ranges         int8multirange NOT NULL,
    position_ms    bigint NOT NULL,
    credit_ms      bigint NOT NULL,
    heard_at       timestamptz NOT NULL,
    PRIMARY KEY (enrollment_id, block_id, video_id)
);
COMMENT ON TABLE progress.watched IS 'person: which milliseconds of a film somebody has watched, and where they stopped';
CREATE INDEX watched_of_person ON progress.watched (user_id);
