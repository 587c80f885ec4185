"""Row groups of shards to rows in memory."""
