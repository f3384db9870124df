CREATE INDEX usage_hour_of_person ON gateway.usage (hour) WHERE subject = 'person';
