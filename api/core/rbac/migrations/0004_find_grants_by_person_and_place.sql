-- A decision asks what one person was granted at two or three places: the place stands right behind the person, so that somebody
-- with thousands of grants waits no longer. It is the same key as before, in another order.
DROP INDEX rbac.grants_of_user;
CREATE UNIQUE INDEX grants_of_user ON rbac.grants (user_id, scope_id, scope, role, role_id) NULLS NOT DISTINCT
    WHERE ended_at IS NULL;
