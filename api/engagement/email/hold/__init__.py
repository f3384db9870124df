"""Hold: letters to many wait while their organization is suspended, and go on afterwards."""
