-- Text messages to phones: who is told at which number, the codes that prove it, and what they cost.
CREATE TABLE notification.phones (
    user_id      uuid PRIMARY KEY,
    number       text NOT NULL,
    confirmed_at timestamptz NOT NULL,
    ended_at     timestamptz,
    end_reason   text CHECK (end_reason IN ('stopped', 'gone'))
);
COMMENT ON TABLE notification.phones IS 'person: the phone on which somebody is told';
CREATE INDEX phones_number ON notification.phones (number) WHERE ended_at IS NULL;
CREATE INDEX phones_ended_at ON notification.phones (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE notification.phone_codes (
    id         uuid PRIMARY KEY,
    user_id    uuid NOT NULL,
    number     text NOT NULL,
    code_mac   bytea NOT NULL,
    tries      integer NOT NULL DEFAULT 0,
    closed     boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL
);
COMMENT ON TABLE notification.phone_codes IS 'person: codes that were sent to phones, kept for two days to limit how many';
CREATE INDEX phone_codes_of_person ON notification.phone_codes (user_id, created_at);
CREATE INDEX phone_codes_of_number ON notification.phone_codes (number, created_at);
CREATE INDEX phone_codes_created_at ON notification.phone_codes (created_at);

CREATE TABLE notification.text_spending (
    month    date NOT NULL,
    org_id   uuid,
    segments bigint NOT NULL,
    UNIQUE NULLS NOT DISTINCT (month, org_id)
);
COMMENT ON TABLE notification.text_spending IS 'org: how many segments of text messages were sent for an organization in a month';

ALTER TABLE notification.deliveries
    DROP CONSTRAINT deliveries_channel_check,
    ADD CONSTRAINT deliveries_channel_check CHECK (channel IN ('push', 'mail', 'sms')),
    DROP CONSTRAINT deliveries_reason_check,
    ADD CONSTRAINT deliveries_reason_check CHECK (reason IN ('off', 'muted', 'no_device', 'no_address', 'read', 'expired',
        'withdrawn', 'quiet', 'digest', 'rate', 'unreachable', 'refused', 'retried', 'bounced', 'no_number', 'budget',
        'not_offered'));
ALTER TABLE notification.delivery_log
    DROP CONSTRAINT delivery_log_reason_check,
    ADD CONSTRAINT delivery_log_reason_check CHECK (reason IN ('off', 'muted', 'no_device', 'no_address', 'read', 'expired',
        'withdrawn', 'quiet', 'digest', 'rate', 'unreachable', 'refused', 'retried', 'bounced', 'no_number', 'budget',
        'not_offered'));
ALTER TABLE notification.batches
    DROP CONSTRAINT batches_channel_check,
    ADD CONSTRAINT batches_channel_check CHECK (channel IN ('push', 'mail', 'sms'));
