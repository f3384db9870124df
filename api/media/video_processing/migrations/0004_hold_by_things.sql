-- Holds stand in hub.things. Hosts of the release before place and release them here: a later migration drops these columns.
CREATE TRIGGER copy_hold AFTER UPDATE OF held_at, held_reason ON video_processing.videos
    FOR EACH ROW EXECUTE FUNCTION hub.copy_hold('video');
UPDATE video_processing.videos SET held_at = held_at WHERE held_at IS NOT NULL;
COMMENT ON COLUMN video_processing.videos.held_at IS 'of the release before, see hub.things.held_at';
