-- Erasing a person and the sweep of unverified people look identities up by person, whatever their issuer.
CREATE INDEX identities_of_person ON auth.identities (user_id);
