CREATE TABLE hub.operations (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    done bigint NOT NULL DEFAULT 0,
    total bigint,
    counts jsonb NOT NULL DEFAULT '{}',
    result_url text,
    report_url text,
    undo_until timestamptz,
    problem jsonb,
    owner_id uuid,
    org_id uuid,
    cancel_requested_at timestamptz,
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    CHECK ((finished_at IS NOT NULL) = (state IN ('succeeded', 'failed', 'cancelled')))
);
COMMENT ON TABLE hub.operations IS 'platform: work that was answered with 202, kept 30 days after it finished';
CREATE INDEX operations_finished_at ON hub.operations (finished_at) WHERE finished_at IS NOT NULL;
