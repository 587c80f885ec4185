"""The external sort: the order of events with equal times (ties), the sorted files (layout), and reading them back (grouping)."""
