"""Second reviews: some decisions are judged once more, blind, to measure how far moderators agree."""
