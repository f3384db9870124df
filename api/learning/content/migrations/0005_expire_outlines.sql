ALTER TABLE content.outlines ADD COLUMN confirmed_at timestamptz;
COMMENT ON COLUMN content.outlines.confirmed_at IS 'when the course was found to exist; NULL: the outline may be deleted a day after it was made';
UPDATE content.outlines SET confirmed_at = now();
CREATE INDEX outlines_unconfirmed ON content.outlines (course_id) WHERE confirmed_at IS NULL;
