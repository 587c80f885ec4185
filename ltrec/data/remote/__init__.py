"""Prepared data sets in a store: read through a cache on the node, and written there with the manifest last."""
