ALTER TABLE course.courses
    ADD COLUMN moderation_state text CHECK (moderation_state IN ('locked', 'removed')),
    ADD COLUMN moderation_version bigint NOT NULL DEFAULT 0,
    ADD COLUMN archived_by_moderation boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN course.courses.archived_by_moderation IS 'a reversal restores it; who archived it before did so themselves';
