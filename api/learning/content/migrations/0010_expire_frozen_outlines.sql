ALTER TABLE content.frozen_outlines
    ADD COLUMN asked_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN confirmed_at timestamptz;
COMMENT ON COLUMN content.frozen_outlines.asked_at IS 'when it was last frozen, to an hour';
COMMENT ON COLUMN content.frozen_outlines.confirmed_at IS 'when a revision was found that names it; NULL: it may be deleted a day after asked_at';
CREATE INDEX frozen_outlines_unconfirmed ON content.frozen_outlines (id) WHERE confirmed_at IS NULL AND let_go_at IS NULL;

CREATE OR REPLACE FUNCTION content.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.id, OLD.course_id, OLD.org_id, OLD.blocks, OLD.frozen_at)
     = (NEW.id, NEW.course_id, NEW.org_id, NEW.blocks, NEW.frozen_at)
        AND (OLD.let_go_at IS NULL AND NEW.let_go_at IS NOT NULL
            OR OLD.let_go_at IS NOT DISTINCT FROM NEW.let_go_at AND OLD.sha256 = NEW.sha256) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a frozen outline never changes';
END
$$;
