CREATE TABLE search.followed (
    kind     text PRIMARY KEY,
    read_to  uuid NOT NULL
);
COMMENT ON TABLE search.followed IS 'platform: how far sources were read of which no event tells';
COMMENT ON COLUMN search.followed.read_to IS 'the last document; what has a lower id and came later is looked for as well';
