ALTER TABLE "user".users DROP CONSTRAINT users_state_check;
ALTER TABLE "user".users ADD CONSTRAINT users_state_check CHECK (state IN ('active', 'abandoned', 'erased'));
COMMENT ON COLUMN "user".users.state IS 'abandoned: a sign-up that broke off and was taken over; erased: the id alone is left. Neither can become a profile again';

CREATE TABLE "user".privacy_requests (
    id             uuid PRIMARY KEY,
    kind           text NOT NULL CHECK (kind IN ('erasure', 'export')),
    user_id        uuid NOT NULL,
    org_id         uuid,
    requested_by   uuid NOT NULL,
    state          text NOT NULL DEFAULT 'requested'
        CHECK (state IN ('requested', 'cooling', 'running', 'done', 'failed', 'cancelled')),
    failure        text CHECK (failure IN ('sole-owner', 'part-failed')),
    round          integer NOT NULL DEFAULT 0,
    version        bigint NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL,
    confirmed_at   timestamptz,
    starts_at      timestamptz,
    finished_at    timestamptz,
    archive_until  timestamptz,
    signed_report  text
);
COMMENT ON TABLE "user".privacy_requests IS 'person: requests to erase or export what is kept about somebody';
COMMENT ON COLUMN "user".privacy_requests.org_id IS 'only what this organization keeps; NULL: everything';
COMMENT ON COLUMN "user".privacy_requests.round IS 'how often the services were asked; an erasure is done after the second time';
CREATE UNIQUE INDEX privacy_requests_open ON "user".privacy_requests (user_id, kind, org_id) NULLS NOT DISTINCT
    WHERE state IN ('requested', 'cooling', 'running');
CREATE INDEX privacy_requests_of_person ON "user".privacy_requests (user_id, id DESC);
CREATE INDEX privacy_requests_of_organization ON "user".privacy_requests (org_id, id DESC) WHERE org_id IS NOT NULL;

CREATE TABLE "user".privacy_parts (
    request_id     uuid NOT NULL REFERENCES "user".privacy_requests (id) ON DELETE CASCADE,
    service        text NOT NULL,
    outcome        text CHECK (outcome IN ('done', 'kept', 'failed')),
    rows_erased    bigint NOT NULL DEFAULT 0,
    rows_kept      bigint NOT NULL DEFAULT 0,
    rows_exported  bigint NOT NULL DEFAULT 0,
    grounds        text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (request_id, service)
);
COMMENT ON COLUMN "user".privacy_parts.outcome IS 'NULL: the service has not answered';
COMMENT ON TABLE "user".privacy_parts IS 'platform: what each service did about a privacy request';
