-- Whoever can rewrite a chain to its very end can rewrite its end as well: ends are noted outside the database.
ALTER TABLE audit.chains ADD COLUMN noted_seq bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN audit.chains.noted_seq IS 'up to here the chain is held by a checkpoint';
CREATE INDEX chains_unnoted ON audit.chains (chain) WHERE seq > noted_seq;

CREATE TABLE audit.checkpoints (
    key       text PRIMARY KEY,
    sha256    bytea NOT NULL CHECK (length(sha256) = 32),
    noted_at  timestamptz NOT NULL
);
COMMENT ON TABLE audit.checkpoints IS 'platform: which checkpoints there must be in the bucket; each missing one is a fault';
