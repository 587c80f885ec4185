"""The figures of the report, a file each; the only package that imports matplotlib. Importing it requires the extra `report`."""

from ltrec.core.extension.extras import require

require("report", "the report")
