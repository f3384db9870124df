ALTER TABLE content.courses ADD COLUMN visibility text NOT NULL DEFAULT 'public';
COMMENT ON COLUMN content.courses.visibility IS 'of the newest revision: whether strangers may know that the course exists';
