ALTER TABLE content.courses
    ADD COLUMN language text,
    ADD COLUMN documents_version bigint NOT NULL DEFAULT 0,
    ADD COLUMN documented_at timestamptz;
COMMENT ON COLUMN content.courses.language IS 'of the newest revision (BCP 47); NULL: not told yet';
COMMENT ON COLUMN content.courses.documents_version IS 'counts changes of its documents';
COMMENT ON COLUMN content.courses.documented_at IS 'when its documents were last compared with what is published; NULL: never';
CREATE INDEX courses_never_documented ON content.courses (course_id) WHERE documented_at IS NULL;

CREATE TABLE content.documents (
    id          uuid PRIMARY KEY,
    block_id    uuid NOT NULL,
    course_id   uuid NOT NULL,
    org_id      uuid NOT NULL,
    frozen_id   uuid NOT NULL,
    type        text NOT NULL,
    title       text NOT NULL,
    path        text[] NOT NULL,
    text        text NOT NULL,
    language    text NOT NULL,
    run_ids     uuid[] NOT NULL,
    gone        boolean NOT NULL DEFAULT false,
    version     bigint NOT NULL,
    updated_at  timestamptz NOT NULL
);
COMMENT ON TABLE content.documents IS 'org: published blocks as people find them';
COMMENT ON COLUMN content.documents.id IS 'of the block as the newest revision has it; another one in a revision that runs are pinned to';
COMMENT ON COLUMN content.documents.frozen_id IS 'the outline that has it, as its runs show it now';
COMMENT ON COLUMN content.documents.gone IS 'no run shows it any more';
CREATE INDEX documents_of_course ON content.documents (course_id);
CREATE INDEX documents_shown ON content.documents (id) WHERE NOT gone;
CREATE INDEX runs_of_course ON content.runs (course_id);
