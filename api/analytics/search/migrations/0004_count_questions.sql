CREATE TABLE search.asker_keys (
    era     integer PRIMARY KEY,
    sealed  bytea NOT NULL
);
COMMENT ON TABLE search.asker_keys IS 'platform: keys that tell people apart who ask the same, deleted when their 30 days are over';

CREATE TABLE search.asked (
    org_id      uuid NOT NULL,
    day         date NOT NULL,
    language    text NOT NULL,
    query       text NOT NULL,
    asker       bytea NOT NULL CHECK (length(asker) = 16),
    asked       integer NOT NULL,
    unanswered  integer NOT NULL,
    PRIMARY KEY (org_id, day, language, query, asker)
);
COMMENT ON TABLE search.asked IS 'org: how often its members ask what';
COMMENT ON COLUMN search.asked.asker IS 'HMAC of person, organization, language and question: the same person is another one in each question';
CREATE INDEX asked_by_day ON search.asked (day);

CREATE TABLE search.clicked (
    answer_id  uuid PRIMARY KEY,
    org_id     uuid NOT NULL,
    day        date NOT NULL,
    language   text NOT NULL,
    query      text NOT NULL,
    position   smallint NOT NULL CHECK (position > 0)
);
COMMENT ON TABLE search.clicked IS 'org: answers of which something was opened, and the best position of that; nothing leads to who did';
CREATE INDEX clicked_in ON search.clicked (org_id, day);
CREATE INDEX clicked_by_day ON search.clicked (day);
