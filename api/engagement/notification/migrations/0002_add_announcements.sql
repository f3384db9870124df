-- What staff tell the learners of a run or a course, or the members of an organization.
CREATE TABLE notification.announcements (
    id          uuid PRIMARY KEY,
    org_id      uuid NOT NULL,
    course_id   uuid,
    run_id      uuid,
    title       text NOT NULL,
    text        text NOT NULL,
    state       text NOT NULL CHECK (state IN ('draft', 'scheduled', 'sending', 'sent', 'stopped', 'withdrawn')),
    send_at     timestamptz,
    sent_at     timestamptz,
    revised     boolean NOT NULL DEFAULT false,
    occasion_id uuid UNIQUE,
    told        bigint NOT NULL DEFAULT 0,
    created_by  uuid,
    version     bigint NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    CHECK (run_id IS NULL OR course_id IS NOT NULL)
);
COMMENT ON TABLE notification.announcements IS 'org: what staff told the people of a course or an organization';
COMMENT ON COLUMN notification.announcements.revised IS 'the text was changed after some were told';
CREATE INDEX announcements_of_organization ON notification.announcements (org_id, id DESC);
CREATE INDEX announcements_of_course ON notification.announcements (course_id, id DESC) WHERE course_id IS NOT NULL;
CREATE INDEX announcements_updated_at ON notification.announcements (updated_at);
CREATE INDEX announcements_of_person ON notification.announcements (created_by) WHERE created_by IS NOT NULL;

ALTER TABLE notification.occasions
    DROP CONSTRAINT occasions_state_check,
    ADD CONSTRAINT occasions_state_check CHECK (state IN ('spreading', 'done', 'parked', 'stopped'));
ALTER TABLE notification.changes
    DROP CONSTRAINT changes_kind_check,
    ADD CONSTRAINT changes_kind_check CHECK (kind IN ('read', 'unread', 'archived', 'changed', 'withdrawn'));
