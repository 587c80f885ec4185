"""What callers hand in besides paths and settings: tables of other libraries, histories."""
