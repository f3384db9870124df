CREATE INDEX entries_by_actor ON audit.entries (chain, actor, id DESC) WHERE actor IS NOT NULL;
CREATE INDEX entries_by_target ON audit.entries (chain, target, id DESC);
