ALTER TABLE video_processing.videos
    ADD COLUMN held_at timestamptz,
    ADD COLUMN held_reason text CHECK ((held_reason IS NULL) = (held_at IS NULL));
COMMENT ON COLUMN video_processing.videos.held_at IS 'begin of its legal hold: while it lasts the film is not purged, see hub.things';
