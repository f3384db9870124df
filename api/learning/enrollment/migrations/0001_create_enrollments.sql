CREATE TABLE enrollment.enrollments (
    id                  uuid PRIMARY KEY,
    org_id              uuid NOT NULL,
    course_id           uuid NOT NULL,
    run_id              uuid NOT NULL,
    user_id             uuid NOT NULL,
    state               text NOT NULL CHECK (state IN ('active', 'completed', 'cancelled', 'suspended')),
    completed_at        timestamptz,
    completed_revision  integer,
    version             bigint NOT NULL DEFAULT 1,
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    CHECK ((completed_at IS NULL) = (completed_revision IS NULL)),
    CHECK (state <> 'completed' OR completed_at IS NOT NULL)
);
COMMENT ON TABLE enrollment.enrollments IS 'person: who learns in which run';
CREATE UNIQUE INDEX enrollments_once ON enrollment.enrollments (user_id, run_id) INCLUDE (state);
CREATE INDEX enrollments_of_person ON enrollment.enrollments (user_id, id DESC);
CREATE INDEX enrollments_of_run ON enrollment.enrollments (run_id, id DESC);
CREATE INDEX enrollments_of_course ON enrollment.enrollments (course_id, id DESC);
CREATE INDEX enrollments_of_organization ON enrollment.enrollments (org_id, id DESC);

CREATE TABLE enrollment.seats (
    run_id  uuid PRIMARY KEY,
    taken   integer NOT NULL CHECK (taken >= 0)
);
COMMENT ON TABLE enrollment.seats IS 'org: how many seats of a run are taken';
