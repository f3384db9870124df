-- Written with the event that begins an erasure. The ids stay: whoever would record something about an erased person looks here.
CREATE TABLE hub.erasures (
    request_id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    org_id uuid,
    created_at timestamptz NOT NULL
);
COMMENT ON TABLE hub.erasures IS 'person: erasures that have begun; the ids stay, so that nothing is recorded about these people again';
COMMENT ON COLUMN hub.erasures.org_id IS 'the organization that lets the person go; NULL: the person leaves the platform';
CREATE INDEX erasures_of_person ON hub.erasures (user_id);

-- Counted in the transaction that erases, so that a report is right after any number of restarts.
CREATE TABLE hub.erased_rows (
    request_id uuid NOT NULL,
    service text NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (request_id, service)
);
COMMENT ON TABLE hub.erased_rows IS 'platform: how many rows each service erased for a request';
