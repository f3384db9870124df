ALTER TABLE notification.devices
    VALIDATE CONSTRAINT devices_kind_check,
    VALIDATE CONSTRAINT devices_keys_check;
