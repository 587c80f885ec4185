"""The output folder of `prepare`: its place on disk, the shards in it, and how a finished data set gets there."""
