CREATE TABLE hub.subscriptions (
    consumer text NOT NULL,
    type text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, type)
);
COMMENT ON TABLE hub.subscriptions IS 'platform: which service projects which state event since when; a new one is filled from a snapshot';
