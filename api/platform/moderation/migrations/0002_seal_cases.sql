-- Reports of a crime or of danger to life go to cases that few may see.
ALTER TABLE moderation.cases ADD COLUMN sealed boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN moderation.cases.sealed IS 'somebody named a crime or danger to life; it stays so';
ALTER TABLE moderation.decisions ADD COLUMN sealed boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN moderation.decisions.sealed IS 'of a sealed case';
