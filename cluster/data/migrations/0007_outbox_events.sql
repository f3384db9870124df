-- While Redis is away, broadcasts pile up; the events behind them must be found without reading past them.
CREATE INDEX outbox_events ON hub.outbox (seq) WHERE topic <> 'broadcast';
