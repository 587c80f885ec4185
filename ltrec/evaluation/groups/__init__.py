"""Groups of users that are reported: by activity (`users`), by their target item (`targets`), and by distance to it (`reach`)."""
