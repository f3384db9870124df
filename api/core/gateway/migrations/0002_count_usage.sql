CREATE TABLE gateway.usage (
    subject_id  uuid NOT NULL,
    hour        timestamptz NOT NULL,
    route       text NOT NULL,
    subject     text NOT NULL CHECK (subject IN ('person', 'key', 'organization', 'platform')),
    org_id      uuid,
    calls       bigint NOT NULL,
    units       bigint NOT NULL,
    PRIMARY KEY (subject_id, hour, route)
) WITH (fillfactor = 80);
COMMENT ON TABLE gateway.usage IS 'platform: how much each caller, each organization and everybody asked, by hour and route';
CREATE INDEX usage_hour ON gateway.usage (hour);

CREATE TABLE gateway.usage_lots (
    id        uuid PRIMARY KEY,
    added_at  timestamptz NOT NULL
);
COMMENT ON TABLE gateway.usage_lots IS 'platform: what processes handed over of usage, so that it is added once';
CREATE INDEX usage_lots_added ON gateway.usage_lots (added_at);
