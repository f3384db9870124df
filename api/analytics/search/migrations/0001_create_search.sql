CREATE TABLE search.marks (
    kind         text NOT NULL,
    document_id  uuid NOT NULL,
    mark         uuid NOT NULL,
    due_at       timestamptz NOT NULL,
    attempts     integer NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, document_id)
);
COMMENT ON TABLE search.marks IS 'platform: documents that changed since they were last brought into the index';
COMMENT ON COLUMN search.marks.mark IS 'another one whenever the document changes again, so that no change is taken for done';
CREATE INDEX marks_due ON search.marks (due_at);

CREATE TABLE search.generations (
    kind        text NOT NULL,
    number      bigint NOT NULL,
    mapping     integer NOT NULL,
    state       text NOT NULL CHECK (state IN ('building', 'live', 'retiring', 'dropped')),
    built_to    uuid,
    documents   bigint NOT NULL DEFAULT 0,
    created_at  timestamptz NOT NULL,
    moved_at    timestamptz NOT NULL,
    PRIMARY KEY (kind, number)
);
COMMENT ON TABLE search.generations IS 'platform: indexes of each kind of documents, one of them behind the alias';
COMMENT ON COLUMN search.generations.number IS 'milliseconds since 1970: an index of a database that was deleted has another name';
COMMENT ON COLUMN search.generations.built_to IS 'the last document of the source that is in it, while it is built';
COMMENT ON COLUMN search.generations.moved_at IS 'when its state changed, or its building got on';
CREATE UNIQUE INDEX generations_live ON search.generations (kind) WHERE state = 'live';
CREATE UNIQUE INDEX generations_building ON search.generations (kind) WHERE state = 'building';
CREATE INDEX generations_retiring ON search.generations (moved_at) WHERE state = 'retiring';
