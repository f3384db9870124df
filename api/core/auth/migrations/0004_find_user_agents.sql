CREATE INDEX sessions_of_user_agent ON auth.sessions (user_id, user_agent);
