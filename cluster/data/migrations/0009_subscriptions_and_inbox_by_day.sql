CREATE TABLE hub.subscriptions (
    consumer text NOT NULL,
    type text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, type)
);
COMMENT ON TABLE hub.subscriptions IS 'platform: which service projects which state event since when; a new one is filled from a snapshot';

-- The inbox by day: a partition is dropped instead of deleting its rows. UUIDv7 ids begin with their time (RFC 9562,
-- section 5.7), so an id belongs to one partition for ever, and a duplicate is refused across midnight too.
CREATE FUNCTION hub.first_id_of(day date) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM day::timestamp AT TIME ZONE 'UTC') * 1000)::bigint), 12, '0')
        || '70008000000000000000')::uuid
$$;

ALTER TABLE hub.inbox RENAME TO inbox_before;
ALTER INDEX hub.inbox_pkey RENAME TO inbox_before_pkey;
CREATE TABLE hub.inbox (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    PRIMARY KEY (consumer, event_id)
) PARTITION BY RANGE (event_id);
COMMENT ON TABLE hub.inbox IS 'platform: ids of events that a service has taken over, for 14 days';
CREATE TABLE hub.inbox_default PARTITION OF hub.inbox DEFAULT;
COMMENT ON TABLE hub.inbox_default IS 'platform: ids of days whose partition was not made in time';

-- SECURITY DEFINER: worker hosts may call these, but own no table of the schema.
CREATE FUNCTION hub.add_inbox_day(day date) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    name text := 'inbox_' || to_char(day, 'YYYYMMDD');
    first_id uuid := hub.first_id_of(day);
    end_id uuid := hub.first_id_of(day + 1);
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('hub.inbox'));
    IF to_regclass('hub.' || name) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE hub.%I (LIKE hub.inbox INCLUDING INDEXES) WITH (autovacuum_vacuum_insert_scale_factor = 0,
        autovacuum_vacuum_insert_threshold = 100000)', name);
    EXECUTE format('COMMENT ON TABLE hub.%I IS %L', name, 'platform: ids of events of one day that services have taken over');
    -- A day that began without its partition has rows in the default one, and those would keep it from being attached.
    LOCK TABLE hub.inbox_default IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('WITH moved AS (DELETE FROM hub.inbox_default WHERE event_id >= $1 AND event_id < $2 RETURNING *)
        INSERT INTO hub.%I SELECT * FROM moved', name) USING first_id, end_id;
    EXECUTE format('ALTER TABLE hub.inbox ATTACH PARTITION hub.%I FOR VALUES FROM (%L) TO (%L)', name, first_id, end_id);
    RETURN true;
END
$$;

CREATE FUNCTION hub.drop_inbox_days(before date) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    name text;
    dropped int := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('hub.inbox'));
    FOR name IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'hub.inbox'::regclass AND c.relname ~ '^inbox_\d{8}$'
            AND to_date(right(c.relname, 8), 'YYYYMMDD') < before
        ORDER BY 1
    LOOP
        EXECUTE format('DROP TABLE hub.%I', name);
        dropped := dropped + 1;
    END LOOP;
    DELETE FROM hub.inbox_default WHERE event_id < hub.first_id_of(before);
    RETURN dropped;
END
$$;

INSERT INTO hub.inbox_default SELECT consumer, event_id FROM hub.inbox_before;
DROP TABLE hub.inbox_before;
DO $$
DECLARE
    day date;
    today date := (now() AT TIME ZONE 'UTC')::date;
BEGIN
    -- Days of the past only where there are rows of them.
    FOR day IN
        SELECT each::date FROM generate_series(today - 14, today - 1, interval '1 day') AS each
        WHERE EXISTS (
            SELECT FROM hub.inbox_default
            WHERE event_id >= hub.first_id_of(each::date) AND event_id < hub.first_id_of(each::date + 1)
        )
    LOOP
        PERFORM hub.add_inbox_day(day);
    END LOOP;
    FOR ahead IN 0..3 LOOP
        PERFORM hub.add_inbox_day(today + ahead);
    END LOOP;
END
$$;
