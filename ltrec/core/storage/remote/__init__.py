"""Files that are elsewhere: `s3://`, `gs://`, `hdfs://` and whatever fsspec knows, and a cache of them on this node."""
