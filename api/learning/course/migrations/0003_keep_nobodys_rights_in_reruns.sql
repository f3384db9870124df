-- The job of a rerun carries its caller. A worker of the release before this one still reads these columns: for it a
-- rerun without them must have no rights, not all of them. They go with the release after this one.
ALTER TABLE course.reruns ALTER COLUMN scopes SET DEFAULT '{}';
COMMENT ON COLUMN course.reruns.scopes IS 'unused, as kind, acting_for and bound_org: hub.jobs.caller has who acts';
