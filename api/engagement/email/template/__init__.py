"""Templates: MJML with Liquid becomes subject, HTML and text."""
