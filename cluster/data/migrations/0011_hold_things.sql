ALTER TABLE hub.things
    ADD COLUMN held_at timestamptz,
    ADD COLUMN held_reason text CHECK ((held_reason IS NULL) = (held_at IS NULL));
COMMENT ON COLUMN hub.things.held_at IS 'begin of its legal hold';
COMMENT ON COLUMN hub.things.held_reason IS 'why it is held, as an organization wrote it';

-- For tables of services that kept holds in held_at and held_reason: existing holds, and those that hosts of the release before place.
CREATE FUNCTION hub.copy_hold() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    UPDATE hub.things SET held = NEW.held_at IS NOT NULL, held_at = NEW.held_at, held_reason = NEW.held_reason
    WHERE kind = TG_ARGV[0] AND id = NEW.id;
    RETURN NULL;
END
$$;
