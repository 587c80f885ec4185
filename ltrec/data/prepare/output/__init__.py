"""The output folder of `prepare`: where it may be, the shards in it, and how a finished data set is published there."""
