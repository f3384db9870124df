-- People list their own operations, and administrators those of their organization, newest first.
CREATE INDEX operations_owner ON hub.operations (owner_id, id DESC);
CREATE INDEX operations_org ON hub.operations (org_id, id DESC);
