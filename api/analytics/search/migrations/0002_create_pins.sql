CREATE TABLE search.pins (
    id            uuid PRIMARY KEY,
    org_id        uuid NOT NULL,
    query         text NOT NULL,
    language      text,
    kinds         text[] NOT NULL,
    document_ids  uuid[] NOT NULL CHECK (cardinality(document_ids) = cardinality(kinds)),
    created_at    timestamptz NOT NULL,
    UNIQUE NULLS NOT DISTINCT (org_id, query, language)
);
COMMENT ON TABLE search.pins IS 'org: documents that stand on top of the answers to a question';
COMMENT ON COLUMN search.pins.query IS 'its words without capitals and accents';
COMMENT ON COLUMN search.pins.language IS 'of those who ask; NULL: whatever they read';
