-- A notice of an event, and how far it has been spread to the people whom it concerns.
CREATE TABLE notification.occasions (
    id          uuid PRIMARY KEY,
    event_id    uuid NOT NULL,
    notice_slug text NOT NULL,
    payload     jsonb NOT NULL,
    user_id     uuid,
    org_id      uuid,
    state       text NOT NULL CHECK (state IN ('spreading', 'done', 'parked')),
    after_id    uuid,
    told        bigint NOT NULL DEFAULT 0,
    error       text,
    happened_at timestamptz NOT NULL,
    expires_at  timestamptz,
    created_at  timestamptz NOT NULL,
    UNIQUE (event_id, notice_slug)
);
COMMENT ON TABLE notification.occasions IS 'org: notices of events, kept while something is to be told of them';
COMMENT ON COLUMN notification.occasions.user_id IS 'of whom the event tells, when it names one person';
CREATE INDEX occasions_of_person ON notification.occasions (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX occasions_created_at ON notification.occasions (created_at);

-- The counter row of a person: every change of the inbox draws its number under this row's lock.
CREATE TABLE notification.people (
    user_id uuid PRIMARY KEY,
    seq     bigint NOT NULL DEFAULT 0,
    unread  bigint NOT NULL DEFAULT 0 CHECK (unread >= 0)
) WITH (fillfactor = 70);
COMMENT ON TABLE notification.people IS 'person: how far an inbox is, and how much of it is unread';

CREATE TABLE notification.notifications (
    id           uuid PRIMARY KEY,
    user_id      uuid NOT NULL,
    seq          bigint NOT NULL,
    occasion_id  uuid NOT NULL,
    notice_slug  text NOT NULL,
    category     text NOT NULL CHECK (category IN
        ('learning', 'teaching', 'community', 'account', 'security', 'announcement', 'marketing')),
    severity     text NOT NULL CHECK (severity IN ('low', 'normal', 'high', 'security')),
    topic_key    text,
    org_id       uuid,
    course_id    uuid,
    title        text NOT NULL,
    body         text NOT NULL,
    url          text NOT NULL,
    state        text NOT NULL CHECK (state IN ('unread', 'read', 'archived')),
    hidden       boolean NOT NULL DEFAULT false,
    expires_at   timestamptz,
    created_at   timestamptz NOT NULL,
    read_at      timestamptz,
    withdrawn_at timestamptz,
    UNIQUE (occasion_id, user_id),
    UNIQUE (user_id, seq)
);
COMMENT ON TABLE notification.notifications IS 'person: what somebody was told';
COMMENT ON COLUMN notification.notifications.hidden IS 'the person wants no such notices in the inbox: it came archived, and waits for its other channels';
CREATE INDEX notifications_unread ON notification.notifications (user_id, seq) WHERE state = 'unread';
CREATE INDEX notifications_created_at ON notification.notifications (created_at);

-- What happened to an inbox beside arrivals; both together are numbered without a gap.
CREATE TABLE notification.changes (
    user_id         uuid NOT NULL,
    seq             bigint NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('read', 'unread', 'archived', 'withdrawn')),
    notification_id uuid,
    up_to_seq       bigint,
    at              timestamptz NOT NULL,
    PRIMARY KEY (user_id, seq)
);
COMMENT ON TABLE notification.changes IS 'person: what somebody read and archived, for their other devices';
CREATE INDEX changes_at ON notification.changes (at);

CREATE TABLE notification.deliveries (
    id              uuid PRIMARY KEY,
    notification_id uuid NOT NULL REFERENCES notification.notifications ON DELETE CASCADE,
    user_id         uuid NOT NULL,
    channel         text NOT NULL CHECK (channel IN ('push', 'mail')),
    shard           smallint NOT NULL,
    state           text NOT NULL CHECK (state IN ('planned', 'held', 'sending', 'delivered', 'failed', 'skipped')),
    reason          text CHECK (reason IN ('off', 'muted', 'no_device', 'no_address', 'read', 'expired', 'withdrawn', 'quiet',
        'digest', 'rate', 'unreachable', 'refused', 'retried', 'bounced')),
    due_at          timestamptz NOT NULL,
    batch_id        uuid,
    attempts        integer NOT NULL DEFAULT 0,
    version         bigint NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    UNIQUE (notification_id, channel)
) WITH (fillfactor = 80);
COMMENT ON TABLE notification.deliveries IS 'person: by which channels somebody is told, or why not';
CREATE INDEX deliveries_due ON notification.deliveries (channel, shard, due_at) WHERE state IN ('planned', 'held');
CREATE INDEX deliveries_waiting ON notification.deliveries (user_id, channel) WHERE state IN ('planned', 'held');
CREATE INDEX deliveries_of_person ON notification.deliveries (user_id);
CREATE INDEX deliveries_of_batch ON notification.deliveries (batch_id) WHERE batch_id IS NOT NULL;

CREATE TABLE notification.delivery_log (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery_id uuid NOT NULL REFERENCES notification.deliveries ON DELETE CASCADE,
    user_id     uuid NOT NULL,
    state       text NOT NULL CHECK (state IN ('planned', 'held', 'sending', 'delivered', 'failed', 'skipped')),
    reason      text CHECK (reason IN ('off', 'muted', 'no_device', 'no_address', 'read', 'expired', 'withdrawn', 'quiet',
        'digest', 'rate', 'unreachable', 'refused', 'retried', 'bounced')),
    device_id   uuid,
    status      integer,
    due_at      timestamptz,
    at          timestamptz NOT NULL
);
COMMENT ON TABLE notification.delivery_log IS 'person: what became of each attempt to tell somebody, append-only';
CREATE INDEX delivery_log_of_delivery ON notification.delivery_log (delivery_id, id);
CREATE INDEX delivery_log_of_person ON notification.delivery_log (user_id);

-- One letter or one message to the devices of a person. Its id is that of the letter, so that a repetition is none.
CREATE TABLE notification.batches (
    id            uuid PRIMARY KEY,
    user_id       uuid NOT NULL,
    channel       text NOT NULL CHECK (channel IN ('push', 'mail')),
    shard         smallint NOT NULL,
    state         text NOT NULL CHECK (state IN ('sending', 'done')),
    claimed_until timestamptz NOT NULL,
    created_at    timestamptz NOT NULL
);
COMMENT ON TABLE notification.batches IS 'person: what was sent together, to count how much somebody gets';
CREATE INDEX batches_of_person ON notification.batches (user_id, channel, created_at);
CREATE INDEX batches_sending ON notification.batches (channel, shard, claimed_until) WHERE state = 'sending';
CREATE INDEX batches_created_at ON notification.batches (created_at);

CREATE TABLE notification.preferences (
    user_id        uuid PRIMARY KEY,
    channels       jsonb NOT NULL DEFAULT '{}',
    quiet_hours    jsonb NOT NULL DEFAULT '[]',
    do_not_disturb_until timestamptz,
    digest_hour    smallint NOT NULL DEFAULT 8 CHECK (digest_hour BETWEEN 0 AND 23),
    digest_weekday smallint NOT NULL DEFAULT 1 CHECK (digest_weekday BETWEEN 1 AND 7),
    mail_works     boolean NOT NULL DEFAULT true,
    unsubscribed   jsonb NOT NULL DEFAULT '[]',
    version        bigint NOT NULL DEFAULT 1,
    updated_at     timestamptz NOT NULL
);
COMMENT ON TABLE notification.preferences IS 'person: how somebody wants to be told';

CREATE TABLE notification.mutes (
    user_id    uuid NOT NULL,
    course_id  uuid NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, course_id)
);
COMMENT ON TABLE notification.mutes IS 'person: of which courses somebody wants to hear nothing';

CREATE TABLE notification.devices (
    id                uuid PRIMARY KEY,
    user_id           uuid NOT NULL,
    session_id        uuid,
    name              text NOT NULL,
    endpoint          text NOT NULL,
    endpoint_sha256   bytea NOT NULL,
    p256dh            bytea NOT NULL,
    auth_secret       bytea NOT NULL,
    vapid_key         text NOT NULL,
    created_at        timestamptz NOT NULL,
    last_delivered_at timestamptz,
    ended_at          timestamptz,
    end_reason        text CHECK (end_reason IN ('removed', 'moved', 'gone', 'signed_out', 'key'))
);
COMMENT ON TABLE notification.devices IS 'person: the browsers in which somebody is told';
COMMENT ON COLUMN notification.devices.vapid_key IS 'the id of the secret whose key the browser subscribed with';
CREATE UNIQUE INDEX devices_endpoint ON notification.devices (endpoint_sha256) WHERE ended_at IS NULL;
CREATE INDEX devices_of_person ON notification.devices (user_id, id);
CREATE INDEX devices_of_session ON notification.devices (session_id) WHERE ended_at IS NULL AND session_id IS NOT NULL;
CREATE INDEX devices_ended_at ON notification.devices (ended_at) WHERE ended_at IS NOT NULL;
