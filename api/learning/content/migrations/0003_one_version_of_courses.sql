-- One event tells the whole state of a course. published_version and archived_version stay for hosts of the release before.
ALTER TABLE content.courses ADD COLUMN version bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN content.courses.version IS 'of the newest course.changed heard';
