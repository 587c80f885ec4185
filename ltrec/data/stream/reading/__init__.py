"""From the row groups of shards to rows in memory."""
