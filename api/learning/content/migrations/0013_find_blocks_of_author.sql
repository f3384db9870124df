-- By itself: the change of the table in 0012 locks it against readers, and must not wait for an index.
CREATE INDEX blocks_of_author ON content.blocks (written_by) WHERE written_by IS NOT NULL;
