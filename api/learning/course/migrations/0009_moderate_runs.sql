ALTER TABLE course.runs
    ADD COLUMN moderation_state text CHECK (moderation_state IN ('removed')),
    ADD COLUMN moderation_version bigint NOT NULL DEFAULT 0,
    ADD COLUMN written_by uuid;
COMMENT ON COLUMN course.runs.moderation_state IS 'what a moderator decided of its title';
COMMENT ON COLUMN course.runs.written_by IS 'who wrote its title; null: of a first run whoever created the course, of another one nobody knows';
CREATE INDEX runs_of_author ON course.runs (written_by) WHERE written_by IS NOT NULL;
