CREATE TABLE progress.runs (
    run_id     uuid PRIMARY KEY,
    org_id     uuid NOT NULL,
    course_id  uuid NOT NULL,
    version    bigint NOT NULL
);
COMMENT ON TABLE progress.runs IS 'org: where each run lies, after course';

CREATE TABLE progress.line_items (
    id             uuid PRIMARY KEY,
    org_id         uuid NOT NULL,
    course_id      uuid NOT NULL,
    run_id         uuid NOT NULL,
    label          text NOT NULL,
    score_maximum  numeric(12, 4) NOT NULL CHECK (score_maximum > 0),
    extra_credit   boolean NOT NULL,
    due_at         timestamptz,
    released       boolean NOT NULL,
    service        text,
    resource_id    uuid,
    version        bigint NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    deleted_at     timestamptz,
    CHECK ((service IS NULL) = (resource_id IS NULL))
);
COMMENT ON TABLE progress.line_items IS 'org: what is graded in a run: the columns of its grade book';
CREATE INDEX line_items_of_run ON progress.line_items (run_id, id) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX line_items_of_resource ON progress.line_items (run_id, service, resource_id) WHERE deleted_at IS NULL;
