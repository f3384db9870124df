ALTER TABLE rbac.places ADD COLUMN created_at timestamptz NOT NULL DEFAULT now(), ADD COLUMN confirmed_at timestamptz;
COMMENT ON COLUMN rbac.places.confirmed_at IS 'when the course was found to exist; NULL: grants on it may end a day after the place was noted';
UPDATE rbac.places SET confirmed_at = now();
CREATE INDEX places_unconfirmed ON rbac.places (scope_id) WHERE confirmed_at IS NULL AND scope = 'course';
