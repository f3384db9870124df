ALTER TABLE "user".users ADD COLUMN avatar_asset_id uuid;
COMMENT ON COLUMN "user".users.avatar_asset_id IS 'a file of media, which the profile uses: see hub.uses';
