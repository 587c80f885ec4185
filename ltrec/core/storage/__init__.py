"""Files that are whole or absent, and that notice when a bit of them has flipped."""
