"""Import rules, a file per kind of operator."""
