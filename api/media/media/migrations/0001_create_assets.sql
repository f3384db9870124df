CREATE TABLE media.assets (
    id            uuid PRIMARY KEY,
    org_id        uuid,
    course_id     uuid,
    run_id        uuid,
    owner_id      uuid NOT NULL,
    holder_id     uuid NOT NULL,
    purpose       text NOT NULL,
    filename      text NOT NULL,
    declared_type text,
    content_type  text,
    size_bytes    bigint NOT NULL CHECK (size_bytes >= 0),
    state         text NOT NULL CHECK (state IN ('uploading', 'checking', 'ready', 'rejected')),
    reason        text CHECK ((reason IS NOT NULL) = (state = 'rejected')),
    sha256        text,
    object_key    text CHECK ((object_key IS NOT NULL) = (state = 'ready')),
    version       bigint NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL,
    expires_at    timestamptz,
    deleted_at    timestamptz
);
COMMENT ON TABLE media.assets IS 'org: files and what is known about them';
COMMENT ON COLUMN media.assets.holder_id IS 'whose quota it counts against: the organization, or the person';
COMMENT ON COLUMN media.assets.expires_at IS 'finished and unclaimed; NULL: unfinished (its upload expires) or claimed';
CREATE INDEX assets_of_organization ON media.assets (org_id, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX assets_of_course ON media.assets (course_id, id DESC) WHERE deleted_at IS NULL AND course_id IS NOT NULL;
CREATE INDEX assets_of_run ON media.assets (run_id, id DESC) WHERE deleted_at IS NULL AND run_id IS NOT NULL;
CREATE INDEX assets_of_owner ON media.assets (owner_id, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX assets_expiring ON media.assets (expires_at) WHERE deleted_at IS NULL AND expires_at IS NOT NULL;
CREATE INDEX assets_deleted ON media.assets (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE media.uploads (
    asset_id     uuid PRIMARY KEY REFERENCES media.assets (id) ON DELETE CASCADE,
    offset_bytes bigint NOT NULL DEFAULT 0,
    epoch        bigint NOT NULL DEFAULT 0,
    expires_at   timestamptz NOT NULL
);
COMMENT ON TABLE media.uploads IS 'org: how far unfinished uploads are';
COMMENT ON COLUMN media.uploads.epoch IS 'which request may write: the last one that began; a smaller epoch commits nothing';
CREATE INDEX uploads_expiring ON media.uploads (expires_at);

CREATE TABLE media.parts (
    asset_id   uuid NOT NULL REFERENCES media.assets (id) ON DELETE CASCADE,
    number     integer NOT NULL,
    size_bytes integer NOT NULL CHECK (size_bytes > 0),
    object_key text NOT NULL,
    PRIMARY KEY (asset_id, number)
);
COMMENT ON TABLE media.parts IS 'org: the objects that an upload consists of until it is checked';

CREATE TABLE media.claims (
    asset_id   uuid NOT NULL REFERENCES media.assets (id) ON DELETE CASCADE,
    claimant   text NOT NULL,
    claimed_at timestamptz NOT NULL,
    PRIMARY KEY (asset_id, claimant)
);
COMMENT ON TABLE media.claims IS 'org: what uses an asset';

CREATE TABLE media.quotas (
    holder_id   uuid PRIMARY KEY,
    used_bytes  bigint NOT NULL CHECK (used_bytes >= 0),
    limit_bytes bigint NOT NULL
);
COMMENT ON TABLE media.quotas IS 'org: bytes that an organization or a person takes up, unfinished uploads in full';

CREATE TABLE media.places (
    id        uuid PRIMARY KEY,
    kind      text NOT NULL CHECK (kind IN ('course', 'run')),
    course_id uuid NOT NULL,
    org_id    uuid NOT NULL
);
COMMENT ON TABLE media.places IS 'org: whose a course or run is, as course told';
