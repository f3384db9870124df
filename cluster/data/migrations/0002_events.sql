-- Events on their way out. Written in the business transaction, deleted once Kafka (or Redis, for broadcasts) has them.
CREATE TABLE hub.outbox (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL,
    topic text NOT NULL,
    key text NOT NULL,
    shard smallint NOT NULL,
    envelope json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (
    -- A queue: nearly every row dies at once, so vacuum by count instead of by share.
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 50000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000
);
CREATE INDEX outbox_broadcasts ON hub.outbox (seq) WHERE topic = 'broadcast';
COMMENT ON TABLE hub.outbox IS 'platform: events and broadcasts that wait for the relay';
COMMENT ON COLUMN hub.outbox.shard IS 'crc32(key) mod 16; a relay leases shards';

CREATE TABLE hub.relay_leases (
    shard smallint PRIMARY KEY,
    owner uuid,
    expires_at timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO hub.relay_leases (shard) SELECT generate_series(0, 15);
COMMENT ON TABLE hub.relay_leases IS 'platform: which relay publishes which shard of the outbox';

CREATE TABLE hub.relays (
    owner uuid PRIMARY KEY,
    seen_at timestamptz NOT NULL
);
COMMENT ON TABLE hub.relays IS 'platform: relays that run, so that each takes its fair share of shards';

-- What a consumer has taken over: handled, or parked below. UUIDv7 ids sort by time, so old rows are a range of the key.
CREATE TABLE hub.inbox (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    PRIMARY KEY (consumer, event_id)
) WITH (autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000);
COMMENT ON TABLE hub.inbox IS 'platform: ids of events that a service has taken over, for 14 days';

CREATE TABLE hub.parked_keys (
    consumer text NOT NULL,
    key text NOT NULL,
    attempts int NOT NULL DEFAULT 1,
    retry_at timestamptz NOT NULL,
    dead boolean NOT NULL DEFAULT false,
    last_error text NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, key)
);
CREATE INDEX parked_keys_due ON hub.parked_keys (retry_at) WHERE NOT dead;
COMMENT ON TABLE hub.parked_keys IS 'platform: keys whose first parked event failed; the row lock orders consumer and drainer';
COMMENT ON COLUMN hub.parked_keys.attempts IS 'how often the first parked event of the key has failed';

CREATE TABLE hub.parked (
    consumer text NOT NULL,
    key text NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    event_id uuid NOT NULL,
    type text NOT NULL,
    envelope json NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, key, seq),
    FOREIGN KEY (consumer, key) REFERENCES hub.parked_keys ON DELETE RESTRICT
);
COMMENT ON TABLE hub.parked IS 'platform: events that failed, and those of the same key behind them, in order';
