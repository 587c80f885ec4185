"""The page's sections, a file each: what it shows, and what it says where something is missing."""
