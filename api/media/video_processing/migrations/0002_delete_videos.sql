ALTER TABLE video_processing.videos ADD COLUMN deleted_at timestamptz;
COMMENT ON COLUMN video_processing.videos.deleted_at IS 'restorable until it is purged, see hub.things';
DROP INDEX video_processing.videos_asset;
CREATE UNIQUE INDEX videos_asset ON video_processing.videos (asset_id) WHERE deleted_at IS NULL;

SELECT hub.declare_existing_thing(
    'video', id, org_id, course_id,
    CASE state WHEN 'ready' THEN 'ready' WHEN 'failed' THEN 'failed' WHEN 'cancelled' THEN 'failed' ELSE 'pending' END,
    CASE state WHEN 'cancelled' THEN 'cancelled' ELSE error_code END,
    jsonb_build_object('duration_s', duration_s), 0, version, CASE WHEN state NOT IN ('queued', 'processing') THEN now() END
) FROM video_processing.videos;

-- What media.claims said: films keep their uploads, unless no film can be made of them.
SELECT hub.declare_existing_use('video', id, org_id, course_id, 'asset', asset_id)
FROM video_processing.videos WHERE state <> 'failed' OR retryable;
