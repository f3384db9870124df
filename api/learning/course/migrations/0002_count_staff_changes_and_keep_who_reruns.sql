ALTER TABLE course.courses ADD COLUMN staff_changes bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN course.courses.staff_changes IS 'how many of the versions changed only who teaches: no author''s edit is stale by them';

ALTER TABLE course.reruns
    ADD COLUMN kind text NOT NULL DEFAULT 'person',
    ADD COLUMN acting_for uuid,
    ADD COLUMN scopes text[],
    ADD COLUMN bound_org uuid;
COMMENT ON COLUMN course.reruns.scopes IS 'what an application was allowed when it started the rerun; null: all that the person may';
