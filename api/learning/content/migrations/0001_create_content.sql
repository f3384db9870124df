CREATE TABLE content.outlines (
    course_id    uuid PRIMARY KEY,
    org_id       uuid NOT NULL,
    version      bigint NOT NULL DEFAULT 1,
    copied_from  uuid,
    created_at   timestamptz NOT NULL,
    changed_at   timestamptz NOT NULL
);
COMMENT ON TABLE content.outlines IS 'org: working outlines of courses; their rows are the locks of all changes';

CREATE TABLE content.blocks (
    id                  uuid PRIMARY KEY,
    course_id           uuid NOT NULL REFERENCES content.outlines,
    org_id              uuid NOT NULL,
    parent_id           uuid REFERENCES content.blocks ON DELETE CASCADE,
    type                text NOT NULL,
    position            integer NOT NULL CHECK (position >= 0),
    title               text NOT NULL,
    body                jsonb NOT NULL,
    html                text,
    renderer            smallint NOT NULL DEFAULT 0,
    text_bytes          integer NOT NULL,
    release_at          timestamptz,
    release_after_days  integer CHECK (release_after_days >= 0),
    content_version     integer NOT NULL DEFAULT 1,
    min_version         integer NOT NULL DEFAULT 1,
    source_id           uuid,
    source_version      integer,
    deleted_at          timestamptz,
    deleted_root        uuid,
    version             bigint NOT NULL DEFAULT 1,
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    CHECK (release_at IS NULL OR release_after_days IS NULL),
    CHECK ((deleted_at IS NULL) = (deleted_root IS NULL)),
    -- Deferred: one statement may renumber siblings in any order.
    CONSTRAINT blocks_one_per_position EXCLUDE USING btree (
        course_id WITH =, (coalesce(parent_id, course_id)) WITH =, position WITH =
    ) WHERE (deleted_at IS NULL) DEFERRABLE INITIALLY DEFERRED
);
COMMENT ON TABLE content.blocks IS 'org: blocks of working outlines';
COMMENT ON COLUMN content.blocks.html IS 'the sanitized rendering of the body, made by renderer number `renderer`';
COMMENT ON COLUMN content.blocks.content_version IS 'counts changes of title and body; version counts every change';
CREATE INDEX blocks_of_parent ON content.blocks (parent_id);
CREATE INDEX blocks_deleted ON content.blocks (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX blocks_restorable ON content.blocks (course_id, id DESC) WHERE deleted_root = id;
CREATE INDEX blocks_deleted_together ON content.blocks (deleted_root) WHERE deleted_root IS NOT NULL;

-- A function, because a plain statement would read the blocks as they were before it waited for the lock.
CREATE FUNCTION content.lock_outline(p_course_id uuid)
RETURNS TABLE (id uuid, parent_id uuid, type text, "position" integer, text_bytes integer, version bigint)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM content.outlines o WHERE o.course_id = p_course_id FOR UPDATE;
    RETURN QUERY
        SELECT b.id, b.parent_id, b.type, b.position, b.text_bytes, b.version
        FROM content.blocks b WHERE b.course_id = p_course_id AND b.deleted_at IS NULL;
END
$$;

CREATE TABLE content.frozen_outlines (
    id         uuid PRIMARY KEY,
    course_id  uuid NOT NULL,
    org_id     uuid NOT NULL,
    sha256     bytea NOT NULL,
    blocks     jsonb NOT NULL,
    frozen_at  timestamptz NOT NULL,
    UNIQUE (course_id, sha256)
);
COMMENT ON TABLE content.frozen_outlines IS 'org: outlines that never change; revisions of courses name them';

CREATE FUNCTION content.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a frozen outline never changes';
END
$$;
CREATE TRIGGER frozen_outlines_never_change BEFORE UPDATE ON content.frozen_outlines
    FOR EACH ROW EXECUTE FUNCTION content.refuse_change();

-- What course says of itself. Each pair keeps the version of the event it was taken from: events come in any order.
CREATE TABLE content.courses (
    course_id          uuid PRIMARY KEY,
    org_id             uuid NOT NULL,
    revision           integer,
    frozen_id          uuid,
    published_version  bigint NOT NULL DEFAULT 0,
    archived           boolean NOT NULL DEFAULT false,
    archived_version   bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE content.courses IS 'org: the current revision of each course, by the newest event heard';

CREATE TABLE content.runs (
    run_id            uuid PRIMARY KEY,
    course_id         uuid NOT NULL,
    org_id            uuid NOT NULL,
    starts_at         timestamptz,
    ends_at           timestamptz,
    pinned_revision   integer,
    pinned_frozen_id  uuid,
    version           bigint NOT NULL
);
COMMENT ON TABLE content.runs IS 'org: offerings of courses, by the newest event heard';
