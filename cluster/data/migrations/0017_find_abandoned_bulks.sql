CREATE INDEX bulks_unfinished ON hub.bulks (operation_id) WHERE phase <> 'over';
