ALTER TABLE media.assets
    ADD COLUMN held_at timestamptz,
    ADD COLUMN held_reason text CHECK ((held_reason IS NULL) = (held_at IS NULL));
COMMENT ON COLUMN media.assets.held_at IS 'begin of its legal hold: while it lasts the file is not purged, see hub.things';
