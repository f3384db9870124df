CREATE TABLE hub.jobs (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    service text NOT NULL,
    args jsonb NOT NULL,
    state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'succeeded', 'dead', 'cancelled')),
    due_at timestamptz NOT NULL,
    dedupe text,
    attempts int NOT NULL DEFAULT 0,
    max_attempts int NOT NULL,
    starts int NOT NULL DEFAULT 0,
    lease uuid,
    last_error text,
    actor jsonb NOT NULL,
    traceparent text,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
) WITH (
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000
);
-- One index finds what is due: waiting jobs by their time, running ones by the end of their lease.
CREATE INDEX jobs_due ON hub.jobs (kind, due_at) WHERE state IN ('queued', 'running');
CREATE UNIQUE INDEX jobs_waiting_once ON hub.jobs (kind, dedupe) WHERE state = 'queued';
CREATE INDEX jobs_waiting_dedupe ON hub.jobs (dedupe) WHERE state = 'queued' AND dedupe IS NOT NULL;
CREATE INDEX jobs_finished ON hub.jobs (finished_at) WHERE state IN ('succeeded', 'cancelled');
CREATE INDEX jobs_dead ON hub.jobs (finished_at) WHERE state = 'dead';
COMMENT ON TABLE hub.jobs IS 'platform: durable background work; finished rows stay for a day, dead ones until somebody decides';
COMMENT ON COLUMN hub.jobs.due_at IS 'queued: when to start; running: when the lease ends and another worker may take it';
COMMENT ON COLUMN hub.jobs.starts IS 'starts without an end: a job that kills its worker five times is dead';
COMMENT ON COLUMN hub.jobs.lease IS 'changes with every start: only its holder may extend or finish';

CREATE TABLE hub.cron (
    name text PRIMARY KEY,
    slot timestamptz NOT NULL
);
COMMENT ON TABLE hub.cron IS 'platform: the last slot of each periodic job that was enqueued';
