-- What a moderator removed is kept beside the blocks: outlines that were frozen before have it too, and outlive their blocks.
CREATE TABLE content.moderated_blocks (
    block_id    uuid PRIMARY KEY,
    course_id   uuid NOT NULL,
    org_id      uuid NOT NULL,
    state       text CHECK (state IN ('removed')),
    version     bigint NOT NULL,
    changed_at  timestamptz NOT NULL
);
COMMENT ON TABLE content.moderated_blocks IS 'org: blocks that a moderator judged';
COMMENT ON COLUMN content.moderated_blocks.state IS 'null: nothing holds any more';
COMMENT ON COLUMN content.moderated_blocks.version IS 'of the decision that was last heard of';
CREATE INDEX moderated_blocks_of_course ON content.moderated_blocks (course_id) WHERE state = 'removed';

ALTER TABLE content.blocks ADD COLUMN written_by uuid;
COMMENT ON COLUMN content.blocks.written_by IS 'who wrote its words last; null: nobody knows';
