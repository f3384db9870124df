CREATE TABLE hub.things (
    kind       text NOT NULL,
    id         uuid NOT NULL,
    org_id     uuid,
    course_id  uuid,
    state      text NOT NULL CHECK (state IN ('pending', 'ready', 'failed', 'deleted')),
    was        text CHECK (was IN ('pending', 'ready', 'failed')),
    fault      text,
    facts      jsonb NOT NULL DEFAULT '{}',
    bytes      bigint NOT NULL DEFAULT 0,
    version    bigint NOT NULL,
    idle_since timestamptz,
    purge_at   timestamptz,
    held       boolean NOT NULL DEFAULT false,
    swept_at   timestamptz,
    PRIMARY KEY (kind, id),
    CHECK ((state = 'deleted') = (was IS NOT NULL)),
    CHECK ((state = 'deleted') = (purge_at IS NOT NULL))
) WITH (fillfactor = 80);
COMMENT ON TABLE hub.things IS 'org: what can be used by others (files, films), as its owner declares it in its own writes';
COMMENT ON COLUMN hub.things.was IS 'the state before the deletion, which restoring brings back';
COMMENT ON COLUMN hub.things.idle_since IS 'when it became usable or last lost a use; NULL: not yet usable, or seen in use by the sweep';
COMMENT ON COLUMN hub.things.purge_at IS 'until then it can be restored; afterwards its owner deletes it for good';
COMMENT ON COLUMN hub.things.held IS 'a legal hold: not purged while it lasts';
COMMENT ON COLUMN hub.things.swept_at IS 'when the sweep last enqueued the job of its owner; again a day later';
CREATE INDEX things_idle ON hub.things (kind, idle_since) WHERE state <> 'deleted' AND idle_since IS NOT NULL;
CREATE INDEX things_purge ON hub.things (kind, purge_at) WHERE state = 'deleted' AND NOT held;

CREATE TABLE hub.uses (
    by_kind   text NOT NULL,
    by_id     uuid NOT NULL,
    kind      text NOT NULL,
    id        uuid NOT NULL,
    org_id    uuid,
    course_id uuid,
    PRIMARY KEY (by_kind, by_id, kind, id),
    FOREIGN KEY (kind, id) REFERENCES hub.things ON DELETE RESTRICT
);
COMMENT ON TABLE hub.uses IS 'org: which block, outline or film (by_kind, by_id) uses which thing; org_id and course_id are the place of the user';
CREATE INDEX uses_of_thing ON hub.uses (kind, id, by_kind, by_id);

-- For migrations of services, which may not touch these tables: they declare what they had before there were things and uses.
CREATE FUNCTION hub.declare_existing_thing(
    p_kind text, p_id uuid, p_org_id uuid, p_course_id uuid, p_state text, p_fault text, p_facts jsonb, p_bytes bigint,
    p_version bigint, p_idle_since timestamptz
) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
    INSERT INTO hub.things (kind, id, org_id, course_id, state, fault, facts, bytes, version, idle_since)
    VALUES (p_kind, p_id, p_org_id, p_course_id, p_state, p_fault, p_facts, p_bytes, p_version, p_idle_since)
    ON CONFLICT DO NOTHING
$$;
CREATE FUNCTION hub.declare_existing_use(
    p_by_kind text, p_by_id uuid, p_org_id uuid, p_course_id uuid, p_kind text, p_id uuid
) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
    INSERT INTO hub.uses (by_kind, by_id, kind, id, org_id, course_id)
    SELECT p_by_kind, p_by_id, kind, id, p_org_id, p_course_id FROM hub.things
    WHERE kind = p_kind AND id = p_id AND state <> 'deleted'
    ON CONFLICT DO NOTHING
$$;
-- A service's role may call these functions, and sees no table by it.
GRANT USAGE ON SCHEMA hub TO PUBLIC;
