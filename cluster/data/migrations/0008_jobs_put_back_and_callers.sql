ALTER TABLE hub.jobs
    ADD COLUMN caller jsonb,
    ADD COLUMN put_back int NOT NULL DEFAULT 0,
    ADD COLUMN unfit_since timestamptz;
COMMENT ON COLUMN hub.jobs.caller IS 'the principal, whole, for whom the job acts; null: it acts as the platform alone';
COMMENT ON COLUMN hub.jobs.put_back IS 'starts in a row that were no attempts: a server was away, or the arguments did not fit this release';
COMMENT ON COLUMN hub.jobs.unfit_since IS 'since when no worker that took it understood the arguments: dead after a day';
