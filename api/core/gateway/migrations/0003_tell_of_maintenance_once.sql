ALTER TABLE gateway.maintenance_windows
    ADD COLUMN told text NOT NULL DEFAULT 'planned' CHECK (told IN ('planned', 'active', 'over'));
