-- Apps on phones beside browsers. What a browser's subscription has and an app has not may be missing; an app's endpoint is
-- "<kind>:<token>", which no request goes to as it stands.
-- Not validated here: that reads the whole table, under a lock that stops those who read. Every row there is of a browser.
ALTER TABLE notification.devices
    ADD COLUMN kind text NOT NULL DEFAULT 'web_push',
    ALTER COLUMN p256dh DROP NOT NULL,
    ALTER COLUMN auth_secret DROP NOT NULL,
    ALTER COLUMN vapid_key DROP NOT NULL,
    ADD CONSTRAINT devices_kind_check CHECK (kind IN ('web_push', 'fcm', 'apns')) NOT VALID,
    ADD CONSTRAINT devices_keys_check
        CHECK (kind <> 'web_push' OR (p256dh IS NOT NULL AND auth_secret IS NOT NULL AND vapid_key IS NOT NULL))
        NOT VALID;
COMMENT ON TABLE notification.devices IS 'person: the browsers and apps in which somebody is told';
