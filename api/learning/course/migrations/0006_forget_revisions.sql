ALTER TABLE course.revisions
    ADD COLUMN unpinned_at timestamptz,
    ADD COLUMN forgotten_at timestamptz;
COMMENT ON COLUMN course.revisions.unpinned_at IS 'when a run last stopped pinning it';
COMMENT ON COLUMN course.revisions.forgotten_at IS 'since when nobody can show, pin or restore it; its number stays taken';
-- The daily look for revisions that nobody can reach, and whether another revision has the same outline.
CREATE INDEX revisions_kept ON course.revisions (published_at) WHERE forgotten_at IS NULL;
CREATE INDEX revisions_of_outline ON course.revisions (course_id, frozen_id);
