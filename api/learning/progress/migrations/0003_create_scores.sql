CREATE TABLE progress.scores (
    id                 uuid PRIMARY KEY,
    line_item_id       uuid NOT NULL,
    enrollment_id      uuid NOT NULL,
    org_id             uuid NOT NULL,
    course_id          uuid NOT NULL,
    run_id             uuid NOT NULL,
    user_id            uuid NOT NULL,
    cause              text NOT NULL CHECK (cause IN ('entered', 'corrected', 'excused', 'withdrawn', 'posted')),
    service            text,
    source_id          uuid,
    activity_progress  text NOT NULL
                       CHECK (activity_progress IN ('Initialized', 'Started', 'InProgress', 'Submitted', 'Completed')),
    grading_progress   text NOT NULL
                       CHECK (grading_progress IN ('FullyGraded', 'Pending', 'PendingManual', 'Failed', 'NotReady')),
    score_given        numeric(12, 4) CHECK (score_given >= 0),
    score_maximum      numeric(12, 4) CHECK (score_maximum > 0),
    comment            text,
    posted_by          uuid,
    scored_at          timestamptz NOT NULL,
    recorded_at        timestamptz NOT NULL,
    CHECK ((service IS NULL) = (source_id IS NULL)),
    CHECK ((score_given IS NULL) = (score_maximum IS NULL))
);
COMMENT ON TABLE progress.scores IS 'person: every score that somebody was ever given; rows are added, never changed';
CREATE UNIQUE INDEX scores_of_source ON progress.scores (service, source_id);
CREATE INDEX scores_of_line_item ON progress.scores (line_item_id, id DESC);
CREATE INDEX scores_of_learner ON progress.scores (enrollment_id, line_item_id, id DESC);
CREATE INDEX scores_of_person ON progress.scores (user_id);
CREATE INDEX scores_of_grader ON progress.scores (posted_by) WHERE posted_by IS NOT NULL;

CREATE TABLE progress.results (
    id             uuid NOT NULL UNIQUE,
    line_item_id   uuid NOT NULL,
    enrollment_id  uuid NOT NULL,
    org_id         uuid NOT NULL,
    course_id      uuid NOT NULL,
    run_id         uuid NOT NULL,
    user_id        uuid NOT NULL,
    score_id       uuid NOT NULL,
    state          text NOT NULL CHECK (state IN ('scored', 'pending', 'excused', 'withdrawn')),
    score_given    numeric(12, 4),
    score_maximum  numeric(12, 4),
    scored_at      timestamptz NOT NULL,
    told_score_id  uuid,
    version        bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (line_item_id, enrollment_id)
);
COMMENT ON TABLE progress.results IS 'person: the score that counts of each learner and line item, after progress.scores';
CREATE INDEX results_of_learner ON progress.results (enrollment_id, line_item_id);
CREATE INDEX results_of_person ON progress.results (user_id, run_id, score_id DESC);
CREATE INDEX results_untold ON progress.results (line_item_id, enrollment_id)
    WHERE state IN ('scored', 'excused') AND told_score_id IS DISTINCT FROM score_id;
CREATE INDEX results_given ON progress.results (line_item_id) WHERE state <> 'withdrawn';

CREATE INDEX line_items_deleted ON progress.line_items (deleted_at) WHERE deleted_at IS NOT NULL;
