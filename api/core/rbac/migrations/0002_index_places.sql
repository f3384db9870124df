-- Who teaches a course looks at who else does.
CREATE INDEX grants_on_place ON rbac.grants (scope_id, id) WHERE ended_at IS NULL;
