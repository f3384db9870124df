CREATE TABLE progress.categories (
    id               uuid PRIMARY KEY,
    org_id           uuid NOT NULL,
    course_id        uuid NOT NULL,
    run_id           uuid NOT NULL,
    name             text NOT NULL,
    weight           numeric(12, 4) NOT NULL CHECK (weight >= 0),
    drop_lowest      integer NOT NULL CHECK (drop_lowest >= 0),
    extra_credit     boolean NOT NULL,
    missing_as_zero  boolean NOT NULL,
    version          bigint NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL
);
COMMENT ON TABLE progress.categories IS 'org: how the line items of a run make its total';
CREATE INDEX categories_of_run ON progress.categories (run_id, id);

ALTER TABLE progress.line_items
    ADD COLUMN category_id uuid,
    ADD COLUMN weight numeric(12, 4) CHECK (weight >= 0);
CREATE INDEX line_items_of_category ON progress.line_items (category_id) WHERE deleted_at IS NULL;

CREATE TABLE progress.schemes (
    run_id          uuid PRIMARY KEY,
    org_id          uuid NOT NULL,
    course_id       uuid NOT NULL,
    scheme_version  bigint NOT NULL
);
COMMENT ON TABLE progress.schemes IS 'org: how often that which makes the totals of a run was changed';
INSERT INTO progress.schemes (run_id, org_id, course_id, scheme_version)
SELECT DISTINCT run_id, org_id, course_id, 1 FROM progress.line_items;

CREATE TABLE progress.totals (
    enrollment_id     uuid NOT NULL,
    category_id       uuid NOT NULL,
    org_id            uuid NOT NULL,
    course_id         uuid NOT NULL,
    run_id            uuid NOT NULL,
    user_id           uuid NOT NULL,
    percent           numeric(12, 4),
    released_percent  numeric(12, 4),
    scheme_version    bigint NOT NULL,
    stale             boolean NOT NULL,
    PRIMARY KEY (enrollment_id, category_id)
);
COMMENT ON TABLE progress.totals IS 'person: what the scores of each learner make of each category, and of the run (nil UUID)';
CREATE INDEX totals_stale ON progress.totals (run_id, enrollment_id) WHERE stale;
CREATE INDEX totals_of_person ON progress.totals (user_id);
