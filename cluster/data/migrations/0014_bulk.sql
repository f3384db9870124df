-- Work on many rows that one request asks for. Rows of the ledger commit with their effects, so a killed worker repeats none.
CREATE TABLE hub.bulks (
    operation_id uuid PRIMARY KEY REFERENCES hub.operations ON DELETE CASCADE,
    job_kind text NOT NULL,
    service text NOT NULL,
    org_id uuid NOT NULL,
    context jsonb NOT NULL,
    all_or_nothing boolean NOT NULL,
    dry_run boolean NOT NULL,
    items jsonb,
    bucket text,
    object_key text,
    phase text NOT NULL CHECK (phase IN ('check', 'apply', 'take_back', 'over')),
    position bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    CHECK ((items IS NULL) <> (object_key IS NULL))
);
COMMENT ON TABLE hub.bulks IS 'org: requests for many rows, kept as long as their operation';
COMMENT ON COLUMN hub.bulks.items IS 'emptied when the work is over: the rows may name people';
COMMENT ON COLUMN hub.bulks.position IS 'rows of the present phase that are done; commits with their effects';

CREATE TABLE hub.bulk_rows (
    operation_id uuid NOT NULL REFERENCES hub.bulks ON DELETE CASCADE,
    row int NOT NULL,
    org_id uuid NOT NULL,
    user_id uuid,
    key text NOT NULL,
    state text NOT NULL CHECK (state IN ('created', 'changed', 'unchanged', 'failed', 'taken_back', 'kept')),
    id uuid,
    problem jsonb,
    before jsonb,
    after jsonb,
    PRIMARY KEY (operation_id, row)
);
CREATE INDEX bulk_rows_keys ON hub.bulk_rows (operation_id, key);
CREATE INDEX bulk_rows_states ON hub.bulk_rows (operation_id, state, row);
CREATE INDEX bulk_rows_of_person ON hub.bulk_rows (user_id) WHERE user_id IS NOT NULL;
COMMENT ON TABLE hub.bulk_rows IS 'org: what became of each row, with the state before and after it';
