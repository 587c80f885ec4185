"""Times as logs write them, to whole numbers of one unit."""
