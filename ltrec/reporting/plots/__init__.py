"""The figures of the report, one file each; the only folder that knows matplotlib."""
