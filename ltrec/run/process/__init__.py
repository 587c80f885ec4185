"""The process that a command runs in: its rank, its cores, rendezvous, and failures."""
