"""The sections of the page, one file each: what they show, and what they say if something is missing."""
