"""Everything that `kind:` can name, one module per family."""
