"""Who learns where: one enrolment per person and run, for ever, whose state moves."""
