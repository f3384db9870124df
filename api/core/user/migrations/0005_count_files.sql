ALTER TABLE "user".privacy_parts
    ADD COLUMN files_erased bigint NOT NULL DEFAULT 0,
    ADD COLUMN files_exported bigint NOT NULL DEFAULT 0;
