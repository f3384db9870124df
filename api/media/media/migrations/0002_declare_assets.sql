-- What can be restored keeps its objects from now on; those of files that were deleted until now are gone.
DELETE FROM media.assets WHERE deleted_at IS NOT NULL;

-- Claims are uses now: the service that claimed declares them in a migration of its own, a day is left for it.
SELECT hub.declare_existing_thing(
    'asset', id, org_id, course_id,
    CASE state WHEN 'ready' THEN 'ready' WHEN 'rejected' THEN 'failed' ELSE 'pending' END, reason,
    jsonb_build_object('content_type', coalesce(content_type, declared_type), 'purpose', purpose), size_bytes, version,
    CASE WHEN state IN ('ready', 'rejected') THEN coalesce(expires_at - interval '24 hours', now()) END
) FROM media.assets;

-- Not read any more; a later migration drops both, when no process of the release before runs.
UPDATE media.assets SET expires_at = NULL WHERE expires_at IS NOT NULL;
COMMENT ON COLUMN media.assets.expires_at IS 'not used any more';
COMMENT ON TABLE media.claims IS 'org: not used any more, see hub.uses';

-- An erasure finds what can be restored, too.
CREATE INDEX assets_of_person ON media.assets (owner_id, id) WHERE org_id IS NULL;
