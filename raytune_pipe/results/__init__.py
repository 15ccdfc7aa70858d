"""The files of a run: its directory, its journal, its Parquet tables, and reading them back."""
