"""Every letter that leaves: templates, queues by urgency, delivery by SMTP, and addresses that get no more letters."""
