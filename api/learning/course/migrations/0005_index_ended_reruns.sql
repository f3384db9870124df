-- The purge looks up reruns that ended, by their age.
CREATE INDEX reruns_ended ON course.reruns (created_at) WHERE state IN ('done', 'failed');
