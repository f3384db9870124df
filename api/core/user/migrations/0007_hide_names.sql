ALTER TABLE "user".users
    ADD COLUMN hidden_name text,
    ADD COLUMN hidden_pronouns text,
    ADD COLUMN moderation_version bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN "user".users.hidden_name IS 'what a moderator removed; a reversal shows it again';
