"""How an upload becomes a film: one coordinator per film, and pieces that any process on any machine encodes.

`coordinator` fetches, plans, hands pieces to an `Executor`, remembers in the database what each one made, and packages;
`pieces` is what an executor runs. Neither knows Ray: `actors.transcoding` gives the coordinator an executor that does.
"""
