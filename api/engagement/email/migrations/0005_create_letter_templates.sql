CREATE TABLE email.letter_templates (
    id uuid PRIMARY KEY,
    org_id uuid NOT NULL,
    template text NOT NULL,
    locale text NOT NULL,
    source text NOT NULL,
    state text NOT NULL DEFAULT 'draft' CHECK (state IN ('draft', 'published', 'retired')),
    version int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
COMMENT ON TABLE email.letter_templates IS 'org: texts of letters that an organization wrote itself; one is published for each letter and locale';
CREATE UNIQUE INDEX letter_templates_published ON email.letter_templates (org_id, template, locale) WHERE state = 'published';
CREATE INDEX letter_templates_of_organization ON email.letter_templates (org_id, id);

ALTER TABLE email.letters ADD COLUMN source_id uuid;
COMMENT ON COLUMN email.letters.source_id IS 'the text that a test of it shows, whatever is published';
