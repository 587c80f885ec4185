"""The process that a command runs in: its rank, its cores, how ranks meet, and how it fails."""
