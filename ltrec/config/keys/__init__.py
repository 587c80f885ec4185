"""Keys by the names that people bring: of earlier versions, of other libraries, of the library's own arguments."""
