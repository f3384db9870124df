CREATE TABLE moderation.clauses (
    id          uuid PRIMARY KEY,
    org_id      uuid,
    code        text NOT NULL,
    category    text NOT NULL CHECK (category IN ('illegal', 'hate', 'harassment', 'violence', 'sexual', 'self_harm', 'minors',
        'privacy', 'deception', 'spam', 'intellectual_property', 'cheating', 'other')),
    severity    smallint NOT NULL CHECK (severity BETWEEN 1 AND 5),
    texts       jsonb NOT NULL,
    retired_at  timestamptz,
    version     bigint NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    UNIQUE NULLS NOT DISTINCT (org_id, code)
);
COMMENT ON TABLE moderation.clauses IS 'org: what is not allowed; without an organization it holds everywhere';
COMMENT ON COLUMN moderation.clauses.texts IS 'title and text by language';

CREATE TABLE moderation.clause_versions (
    clause_id   uuid NOT NULL REFERENCES moderation.clauses,
    version     bigint NOT NULL,
    org_id      uuid,
    category    text NOT NULL,
    severity    smallint NOT NULL,
    texts       jsonb NOT NULL,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (clause_id, version)
);
COMMENT ON TABLE moderation.clause_versions IS 'org: what a clause said when a decision cited it, append-only';

-- Every service has its things judged by these until an organization writes its own.
INSERT INTO moderation.clauses (id, org_id, code, category, severity, texts, created_at, updated_at)
SELECT id::uuid, NULL, code, category, severity, jsonb_build_object('en', jsonb_build_object('title', title, 'text', body)), now(), now()
FROM (VALUES
    ('01930000-0000-7000-8000-000000000001', 'illegal', 'illegal', 4, 'Content against the law',
        'What the law of the European Union or of a member state forbids is removed.'),
    ('01930000-0000-7000-8000-000000000002', 'hate', 'hate', 4, 'Hate',
        'Do not attack people for who they are: origin, religion, sex, gender, orientation, disability or age.'),
    ('01930000-0000-7000-8000-000000000003', 'harassment', 'harassment', 3, 'Harassment',
        'Do not insult, threaten, humiliate or follow people.'),
    ('01930000-0000-7000-8000-000000000004', 'danger', 'self_harm', 5, 'Danger to somebody',
        'What puts somebody''s life or safety in danger is looked at first.'),
    ('01930000-0000-7000-8000-000000000005', 'sexual', 'sexual', 4, 'Sexual content',
        'Do not show sexual content outside of what a course teaches.'),
    ('01930000-0000-7000-8000-000000000006', 'privacy', 'privacy', 3, 'Other people''s privacy',
        'Do not publish addresses, numbers, marks or pictures of others without their consent.'),
    ('01930000-0000-7000-8000-000000000007', 'deception', 'deception', 3, 'Deception',
        'Do not pretend to be somebody else, and do not offer what is a fraud.'),
    ('01930000-0000-7000-8000-000000000008', 'spam', 'spam', 1, 'Spam',
        'Do not advertise what has nothing to do with learning here.'),
    ('01930000-0000-7000-8000-000000000009', 'cheating', 'cheating', 2, 'Cheating',
        'Do not publish or sell answers to work that is graded.'),
    ('01930000-0000-7000-8000-00000000000a', 'rights', 'intellectual_property', 2, 'Other people''s works',
        'Publish only what you may publish.')
) AS given (id, code, category, severity, title, body);
INSERT INTO moderation.clause_versions (clause_id, version, org_id, category, severity, texts, created_at)
SELECT id, version, org_id, category, severity, texts, created_at FROM moderation.clauses;

CREATE TABLE moderation.rules (
    id            uuid PRIMARY KEY,
    org_id        uuid,
    clause_id     uuid NOT NULL REFERENCES moderation.clauses,
    kind          text NOT NULL CHECK (kind IN ('words', 'patterns', 'links')),
    effect_kind   text NOT NULL CHECK (effect_kind IN ('hold', 'refuse')),
    label         text NOT NULL,
    entries       text[] NOT NULL,
    places        text[] NOT NULL DEFAULT '{}',
    least_strikes smallint NOT NULL DEFAULT 0,
    state         text NOT NULL CHECK (state IN ('draft', 'active', 'paused')),
    version       bigint NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL
);
COMMENT ON TABLE moderation.rules IS 'org: words, patterns and addresses that texts are screened for';
COMMENT ON COLUMN moderation.rules.places IS 'kinds of things whose texts are screened; none: all';
CREATE INDEX rules_of_organization ON moderation.rules (org_id, id DESC);
CREATE INDEX rules_active ON moderation.rules (org_id) WHERE state = 'active';

CREATE TABLE moderation.cases (
    id             uuid PRIMARY KEY,
    org_id         uuid,
    course_id      uuid,
    kind           text NOT NULL,
    thing_id       uuid NOT NULL,
    user_id        uuid,
    url            text NOT NULL,
    state          text NOT NULL CHECK (state IN ('open', 'reopened', 'decided')),
    source_kind    text NOT NULL CHECK (source_kind IN ('report', 'screening')),
    severity       smallint NOT NULL,
    reach          bigint NOT NULL,
    reports        bigint NOT NULL DEFAULT 0,
    weight         double precision NOT NULL DEFAULT 0,
    opened_at      timestamptz NOT NULL,
    opened_hours   double precision NOT NULL,
    queue_position double precision GENERATED ALWAYS AS (
        opened_hours - severity * 48 - least(24, 3 * ln(1 + reach)) - least(24, 6 * ln(1 + weight))) STORED,
    leased_by      uuid,
    leased_until   timestamptz,
    decided_sha256 bytea,
    decided_at     timestamptz,
    version        bigint NOT NULL DEFAULT 1,
    updated_at     timestamptz NOT NULL,
    UNIQUE (kind, thing_id)
) WITH (fillfactor = 80);
COMMENT ON TABLE moderation.cases IS 'org: things that were reported or held, one case each';
COMMENT ON COLUMN moderation.cases.user_id IS 'who wrote it';
COMMENT ON COLUMN moderation.cases.opened_hours IS 'hours since 1970';
COMMENT ON COLUMN moderation.cases.queue_position IS 'the hour at which it was opened, two days earlier for each step of severity, and up to a day earlier for its reach and for the weight of its reports: however many there are, they move it by less than a step of severity';
CREATE INDEX cases_queue ON moderation.cases (queue_position, id) WHERE state <> 'decided';
CREATE INDEX cases_by_position ON moderation.cases (queue_position, id);
CREATE INDEX cases_of_person ON moderation.cases (user_id);
CREATE INDEX cases_leased ON moderation.cases (leased_by) WHERE leased_by IS NOT NULL;
CREATE INDEX cases_of_thing ON moderation.cases (thing_id);

CREATE TABLE moderation.contents (
    case_id     uuid NOT NULL REFERENCES moderation.cases ON DELETE CASCADE,
    sha256      bytea NOT NULL,
    org_id      uuid,
    user_id     uuid,
    texts       jsonb NOT NULL,
    findings    jsonb NOT NULL DEFAULT '[]',
    seen_at     timestamptz NOT NULL,
    PRIMARY KEY (case_id, sha256)
);
COMMENT ON TABLE moderation.contents IS 'org: what a thing said when it was reported, held or judged';
CREATE INDEX contents_of_person ON moderation.contents (user_id);
CREATE INDEX contents_seen_at ON moderation.contents (seen_at);

CREATE TABLE moderation.reports (
    id           uuid PRIMARY KEY,
    org_id       uuid,
    case_id      uuid REFERENCES moderation.cases ON DELETE CASCADE,
    kind         text NOT NULL,
    thing_id     uuid NOT NULL,
    clause_id    uuid NOT NULL REFERENCES moderation.clauses,
    reported_by  uuid,
    text         text NOT NULL,
    weight       double precision NOT NULL,
    state        text NOT NULL CHECK (state IN ('open', 'acted', 'kept')),
    created_at   timestamptz NOT NULL,
    decision_id  uuid,
    answered_at  timestamptz
);
COMMENT ON TABLE moderation.reports IS 'org: what people found wrong with a thing';
CREATE UNIQUE INDEX reports_open ON moderation.reports (reported_by, kind, thing_id) WHERE state = 'open';
CREATE INDEX reports_of_person ON moderation.reports (reported_by, id DESC);
CREATE INDEX reports_of_case ON moderation.reports (case_id, id DESC);
CREATE INDEX reports_of_decision ON moderation.reports (decision_id, reported_by) WHERE decision_id IS NOT NULL;
CREATE INDEX reports_created_at ON moderation.reports (created_at);

CREATE TABLE moderation.decisions (
    id             uuid PRIMARY KEY,
    org_id         uuid,
    course_id      uuid,
    case_id        uuid NOT NULL REFERENCES moderation.cases,
    kind           text NOT NULL,
    thing_id       uuid NOT NULL,
    user_id        uuid,
    actions        text[] NOT NULL,
    clause_id      uuid NOT NULL REFERENCES moderation.clauses,
    clause_version bigint NOT NULL,
    facts          text NOT NULL,
    source_kind    text NOT NULL CHECK (source_kind IN ('report', 'screening')),
    until_at       timestamptz,
    strikes        smallint NOT NULL,
    decided_by     uuid,
    reverses_id    uuid UNIQUE REFERENCES moderation.decisions,
    wants_review   boolean NOT NULL DEFAULT false,
    created_at     timestamptz NOT NULL
);
COMMENT ON TABLE moderation.decisions IS 'org: what was done about a thing and why, append-only';
CREATE INDEX decisions_of_person ON moderation.decisions (user_id);
CREATE INDEX decisions_of_judge ON moderation.decisions (decided_by, created_at);
CREATE INDEX decisions_of_case ON moderation.decisions (case_id, id DESC);
CREATE INDEX decisions_of_organization ON moderation.decisions (org_id, decided_by);
CREATE INDEX decisions_created_at ON moderation.decisions (created_at);
CREATE INDEX decisions_wanting_review ON moderation.decisions (id) WHERE wants_review;

CREATE TABLE moderation.appeals (
    id           uuid PRIMARY KEY,
    org_id       uuid,
    decision_id  uuid NOT NULL UNIQUE REFERENCES moderation.decisions,
    case_id      uuid NOT NULL,
    filed_by     uuid,
    text         text NOT NULL,
    state        text NOT NULL CHECK (state IN ('filed', 'heard', 'upheld', 'reversed')),
    heard_by     uuid,
    heard_at     timestamptz,
    answer       text NOT NULL DEFAULT '',
    messages     bigint NOT NULL DEFAULT 0,
    version      bigint NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL,
    answered_at  timestamptz
);
COMMENT ON TABLE moderation.appeals IS 'org: decisions that their author wants looked at again';
CREATE INDEX appeals_of_person ON moderation.appeals (filed_by, id DESC);
CREATE INDEX appeals_of_judge ON moderation.appeals (heard_by);
CREATE INDEX appeals_created_at ON moderation.appeals (created_at);

CREATE TABLE moderation.appeal_messages (
    id         uuid PRIMARY KEY,
    appeal_id  uuid NOT NULL REFERENCES moderation.appeals ON DELETE CASCADE,
    org_id     uuid,
    sent_by    uuid,
    role       text NOT NULL CHECK (role IN ('judge', 'author')),
    text       text NOT NULL,
    created_at timestamptz NOT NULL
);
COMMENT ON TABLE moderation.appeal_messages IS 'org: questions about an appeal, and answers';
CREATE INDEX appeal_messages_of_appeal ON moderation.appeal_messages (appeal_id, id);
CREATE INDEX appeal_messages_of_person ON moderation.appeal_messages (sent_by);

CREATE TABLE moderation.reviews (
    id           uuid PRIMARY KEY,
    decision_id  uuid NOT NULL UNIQUE REFERENCES moderation.decisions,
    org_id       uuid,
    clause_id    uuid NOT NULL REFERENCES moderation.clauses,
    reviewed_by  uuid,
    first_acted  boolean NOT NULL,
    second_acted boolean NOT NULL,
    created_at   timestamptz NOT NULL
);
COMMENT ON TABLE moderation.reviews IS 'org: second judgements of decided cases, made without seeing the first';
CREATE INDEX reviews_of_person ON moderation.reviews (reviewed_by);
CREATE INDEX reviews_of_clause ON moderation.reviews (clause_id);
