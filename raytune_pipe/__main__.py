"""The command line as ``python -m raytune_pipe``."""

from raytune_pipe.cli import main

if __name__ == "__main__":
    main(prog_name="raytune-pipe")
