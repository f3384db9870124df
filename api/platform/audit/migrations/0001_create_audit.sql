CREATE TABLE audit.entries (
    id           uuid PRIMARY KEY,
    chain        uuid NOT NULL,
    shard        smallint NOT NULL,
    action       text NOT NULL,
    actor_kind   text NOT NULL,
    actor        text,
    acting_for   text,
    service      text,
    target_type  text NOT NULL,
    target       text NOT NULL,
    version      bigint NOT NULL,
    payload      jsonb NOT NULL,
    at           timestamptz NOT NULL,
    trace_id     text NOT NULL,
    seq          bigint,
    hash         bytea CHECK (length(hash) = 32),
    CHECK ((seq IS NULL) = (hash IS NULL))
);
COMMENT ON TABLE audit.entries IS 'org: what happened; people stand in it by pseudonyms';
COMMENT ON COLUMN audit.entries.chain IS 'the organization, or the nil UUID for the platform';
COMMENT ON COLUMN audit.entries.hash IS 'SHA-256 over the RFC 8785 form of the entry and the hash before it';
CREATE INDEX entries_of_chain ON audit.entries (chain, id DESC);
CREATE INDEX entries_by_action ON audit.entries (chain, action, id DESC);
CREATE UNIQUE INDEX entries_sealed ON audit.entries (chain, seq) WHERE seq IS NOT NULL;
CREATE INDEX entries_unsealed ON audit.entries (shard, chain, id) WHERE seq IS NULL;

CREATE TABLE audit.chains (
    chain  uuid PRIMARY KEY,
    seq    bigint NOT NULL,
    hash   bytea NOT NULL
);
COMMENT ON TABLE audit.chains IS 'org: the end of each chain';

CREATE TABLE audit.people (
    user_id    uuid PRIMARY KEY,
    pseudonym  uuid NOT NULL UNIQUE
);
COMMENT ON TABLE audit.people IS 'person: who a pseudonym in the trail is; erasing a person deletes the row and leaves the chain whole';

-- Entries are added and sealed once; nothing else ever happens to them, whoever asks.
CREATE FUNCTION audit.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.seq IS NULL AND NEW.seq IS NOT NULL
       AND (to_jsonb(OLD) - 'seq' - 'hash') = (to_jsonb(NEW) - 'seq' - 'hash') THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'audit entries are never changed or deleted';
END
$$;
CREATE TRIGGER entries_append_only BEFORE UPDATE OR DELETE ON audit.entries
    FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
