ALTER TABLE course.runs ADD COLUMN reminded_for timestamptz;
COMMENT ON COLUMN course.runs.reminded_for IS 'the beginning of which learners were reminded; a run that moves reminds again';
CREATE INDEX runs_starting ON course.runs (starts_at) WHERE ended_at IS NULL AND starts_at IS NOT NULL;
