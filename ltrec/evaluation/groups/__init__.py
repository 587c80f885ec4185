"""Who is compared with whom: groups by activity (users), by the item that they wanted (targets), and by distance to it (reach)."""
