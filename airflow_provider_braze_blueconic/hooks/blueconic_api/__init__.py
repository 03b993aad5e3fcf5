"""BlueConic's REST API v2, one module for each endpoint family."""
