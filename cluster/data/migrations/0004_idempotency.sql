CREATE TABLE hub.idempotency_keys (
    key_hash bytea PRIMARY KEY,
    fingerprint bytea NOT NULL,
    result_id uuid,
    status smallint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE hub.idempotency_keys IS 'platform: keyed hashes of Idempotency-Keys with the result of their request, kept 24 hours';
CREATE INDEX idempotency_keys_created_at ON hub.idempotency_keys (created_at);

-- The lock makes twins visible to each other before the first one commits. It is released after the commit is visible, so whoever
-- gets it sees the row. A new statement sees a new snapshot: callers run READ COMMITTED.
CREATE FUNCTION hub.claim_idempotency(
    p_key_hash bytea, p_fingerprint bytea, p_result_id uuid, p_status integer,
    OUT outcome text, OUT result_id uuid, OUT status integer
) LANGUAGE plpgsql AS $$
DECLARE
    known hub.idempotency_keys;
BEGIN
    IF NOT pg_try_advisory_xact_lock(('x' || encode(substring(p_key_hash FOR 8), 'hex'))::bit(64)::bigint) THEN
        outcome := 'in_flight';
        status := 409;
        RETURN;
    END IF;
    INSERT INTO hub.idempotency_keys AS k (key_hash, fingerprint, result_id, status)
    VALUES (p_key_hash, p_fingerprint, p_result_id, p_status)
    ON CONFLICT (key_hash) DO UPDATE
    SET fingerprint = excluded.fingerprint, result_id = excluded.result_id, status = excluded.status, created_at = now()
    WHERE k.created_at <= now() - interval '24 hours';
    IF FOUND THEN
        outcome := 'claimed';
        result_id := p_result_id;
        status := p_status;
        RETURN;
    END IF;
    SELECT * INTO STRICT known FROM hub.idempotency_keys k WHERE k.key_hash = p_key_hash;
    outcome := CASE WHEN known.fingerprint = p_fingerprint THEN 'replayed' ELSE 'reused' END;
    result_id := known.result_id;
    status := known.status;
END
$$;
