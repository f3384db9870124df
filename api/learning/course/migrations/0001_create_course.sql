CREATE TABLE course.courses (
    id                  uuid PRIMARY KEY,
    org_id              uuid NOT NULL,
    slug                text NOT NULL,
    title               text NOT NULL,
    summary             text NOT NULL,
    language            text NOT NULL,
    categories          text[] NOT NULL DEFAULT '{}',
    tags                text[] NOT NULL DEFAULT '{}',
    visibility          text NOT NULL DEFAULT 'public' CHECK (visibility IN ('public', 'unlisted', 'organization')),
    default_run_id      uuid NOT NULL,
    source_course_id    uuid,
    published_revision  integer,
    published_frozen_id uuid,
    details_changed     boolean NOT NULL DEFAULT false,
    outline_version     bigint NOT NULL DEFAULT 0,
    published_outline_version bigint NOT NULL DEFAULT 0,
    publish_at          timestamptz,
    publish_error       text,
    archived_at         timestamptz,
    version             bigint NOT NULL DEFAULT 1,
    created_by          uuid NOT NULL,
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL
);
COMMENT ON TABLE course.courses IS 'org: working copies of courses';
CREATE UNIQUE INDEX courses_slug ON course.courses (org_id, slug);
CREATE INDEX courses_of_organization ON course.courses (org_id, id DESC);

CREATE TABLE course.revisions (
    course_id           uuid NOT NULL REFERENCES course.courses,
    revision            integer NOT NULL,
    org_id              uuid NOT NULL,
    frozen_id           uuid NOT NULL,
    details             jsonb NOT NULL,
    restored_revision   integer,
    note                text NOT NULL DEFAULT '',
    published_by        uuid,
    published_at        timestamptz NOT NULL,
    PRIMARY KEY (course_id, revision)
);
COMMENT ON TABLE course.revisions IS 'org: immutable published states';

CREATE TABLE course.runs (
    id                    uuid PRIMARY KEY,
    course_id             uuid NOT NULL REFERENCES course.courses,
    org_id                uuid NOT NULL,
    title                 text NOT NULL,
    pace                  text NOT NULL CHECK (pace IN ('self', 'instructor')),
    is_default            boolean NOT NULL,
    starts_at             timestamptz,
    ends_at               timestamptz,
    enrolment_opens_at    timestamptz,
    enrolment_closes_at   timestamptz,
    seats                 integer CHECK (seats > 0),
    pinned_revision       integer,
    ended_at              timestamptz,
    version               bigint NOT NULL DEFAULT 1,
    created_at            timestamptz NOT NULL,
    FOREIGN KEY (course_id, pinned_revision) REFERENCES course.revisions
);
COMMENT ON TABLE course.runs IS 'org: offerings of courses';
CREATE INDEX runs_of_course ON course.runs (course_id, id);
CREATE UNIQUE INDEX runs_default ON course.runs (course_id) WHERE is_default;

CREATE TABLE course.catalog (
    course_id     uuid PRIMARY KEY REFERENCES course.courses,
    org_id        uuid NOT NULL,
    revision      integer NOT NULL,
    slug          text NOT NULL,
    title         text NOT NULL,
    summary       text NOT NULL,
    language      text NOT NULL,
    categories    text[] NOT NULL,
    tags          text[] NOT NULL,
    visibility    text NOT NULL,
    learners      integer NOT NULL DEFAULT 0,
    hidden        boolean NOT NULL DEFAULT false,
    published_at  timestamptz NOT NULL
);
COMMENT ON TABLE course.catalog IS 'org: what the world sees of published courses';
CREATE INDEX catalog_newest ON course.catalog (course_id DESC) WHERE visibility = 'public' AND NOT hidden;
CREATE INDEX catalog_of_organization ON course.catalog (org_id, course_id DESC);
CREATE INDEX catalog_categories ON course.catalog USING gin (categories);
CREATE INDEX catalog_tags ON course.catalog USING gin (tags);

CREATE TABLE course.categories (
    slug      text PRIMARY KEY,
    title     text NOT NULL,
    position  integer NOT NULL
);
COMMENT ON TABLE course.categories IS 'platform: subjects that courses are filed under';
INSERT INTO course.categories (slug, title, position) VALUES
    ('arts', 'Arts and humanities', 1),
    ('business', 'Business', 2),
    ('computing', 'Computing', 3),
    ('health', 'Health', 4),
    ('languages', 'Languages', 5),
    ('mathematics', 'Mathematics', 6),
    ('sciences', 'Natural sciences', 7),
    ('social-sciences', 'Social sciences', 8),
    ('teaching', 'Teaching and education', 9),
    ('other', 'Other', 10);

CREATE TABLE course.staff (
    course_id   uuid NOT NULL REFERENCES course.courses,
    user_id     uuid NOT NULL,
    org_id      uuid NOT NULL,
    role        text NOT NULL CHECK (role IN ('instructor', 'assistant')),
    added_at    timestamptz NOT NULL,
    PRIMARY KEY (course_id, user_id)
);
COMMENT ON TABLE course.staff IS 'org: who teaches a course; rbac holds what they may do';

CREATE TABLE course.learner_counts (
    course_id      uuid NOT NULL,
    enrollment_id  uuid NOT NULL,
    active         boolean NOT NULL,
    version        bigint NOT NULL,
    PRIMARY KEY (course_id, enrollment_id)
);
COMMENT ON TABLE course.learner_counts IS 'org: enrolments that count towards a course, by their newest state heard';

CREATE TABLE course.reruns (
    id                uuid PRIMARY KEY,
    org_id            uuid NOT NULL,
    source_course_id  uuid NOT NULL REFERENCES course.courses,
    course_id         uuid NOT NULL,
    run_id            uuid NOT NULL,
    started_by        uuid NOT NULL,
    state             text NOT NULL CHECK (state IN ('copying', 'creating', 'done', 'failed')),
    title             text NOT NULL,
    slug              text,
    created_at        timestamptz NOT NULL
);
COMMENT ON TABLE course.reruns IS 'org: processes that make a new course of an old one; id is the operation''s';
