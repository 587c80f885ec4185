"""The figures of the report, one file each; the only folder that knows matplotlib. Importing it asks for the extra `report`."""

from ltrec.core.extension.extras import require

require("report", "the report")
