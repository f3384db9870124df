ALTER TABLE content.frozen_outlines ADD COLUMN let_go_at timestamptz;
COMMENT ON COLUMN content.frozen_outlines.let_go_at IS 'since when it uses nothing: its revisions are forgotten. The same outline is then frozen under a new id';

-- The hash of an outline that let go is made unlike every other, so that the same outline can be frozen anew beside it.
CREATE OR REPLACE FUNCTION content.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.let_go_at IS NULL AND NEW.let_go_at IS NOT NULL
        AND (OLD.id, OLD.course_id, OLD.org_id, OLD.blocks, OLD.frozen_at)
          = (NEW.id, NEW.course_id, NEW.org_id, NEW.blocks, NEW.frozen_at) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a frozen outline never changes';
END
$$;
