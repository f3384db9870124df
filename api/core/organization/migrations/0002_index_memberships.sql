-- Everybody lists their own memberships, those that ended too.
CREATE INDEX members_of_person ON organization.members (user_id, id);
