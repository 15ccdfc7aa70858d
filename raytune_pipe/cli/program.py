"""The group of all commands: turns the package's errors into messages and exit codes."""

from typing import Any

import click

from raytune_pipe.cli.output import echo

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells count it: 128 + SIGINT."""


class Program(click.Group):
    """A group whose users see the package's errors as messages; all other errors are bugs."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what is not a `RaytunePipeError` keeps its traceback and exits 1."""
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            from raytune_pipe.cli.printable import printable

            # The message may quote control characters that were typed. A new exception instead
            # would lose its class, which shows the usage line.
            error.message = printable(error.message)  # type: ignore[misc]  # Click declares it final
            raise
        except (click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)
        except Exception as error:
            from raytune_pipe.base import RaytunePipeError

            if not isinstance(error, RaytunePipeError):
                raise
            echo(str(error), err=True)
            ctx.exit(error.exit_code)
