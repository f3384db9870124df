-- What every host may use: the kernel's own tables, by inheriting this schema's role.
GRANT USAGE ON SCHEMA hub TO CURRENT_USER;
