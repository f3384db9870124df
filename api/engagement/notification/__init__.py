"""Who is told what, where and when: from events to people, their inbox, their preferences, and the channels that lead to them."""
