"""Logs to shards (`prepare`, offline) and shards to batches (`stream`, online); they meet only in the manifest."""
