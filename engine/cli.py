"""The command ``corticalign``: which subcommand, and how errors are shown. Nothing heavy is imported here."""

import importlib
import os
import sys
from collections.abc import Sequence

from engine import __version__
from engine.errors import InputError

USAGE = """\
corticalign: how well does a vision model predict the visual cortex?

  corticalign score [GROUP=NAME ...] [KEY=VALUE ...]   score every layer of a model against a recording
  corticalign harmonize [KEY=VALUE ...]                align a model with where people look
  corticalign cotrain [KEY=VALUE ...]                  train a model on recorded responses as well
  corticalign pretrain [KEY=VALUE ...]                 train a model on pictures alone: SimCLR, or a VAE
  corticalign model list | show NAME                   the models and their layers
  corticalign dataset list | show NAME                 the recordings: size, licence, citation, whether on disk
  corticalign dataset import FILE --name NAME          make a recording from your own arrays
  corticalign results [NAME=VALUE ...]                 what was computed, of all jobs: filtered, exported
  corticalign sweep show | watch | retry FOLDER        what 'score -m' started: table, live view, failures again
  corticalign cache ls | size | prune GB | verify      layer summaries kept between runs

  corticalign score --help      settings and examples
  corticalign --version
  corticalign --shell-completion bash               completion after Tab: eval "$(corticalign --shell-completion bash)"

Start with:  corticalign score
"""

COMMANDS = ("score", "harmonize", "cotrain", "pretrain", "model", "dataset", "results", "sweep", "cache")


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point. Exits with 0, with 2 after an error in what the user gave, with 130 when interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.exit(run(given))
    except InputError as error:
        print(f"corticalign: error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("corticalign: stopped; what was finished is kept and will not be computed again", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of a pipe, such as head, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def run(given: list[str]) -> int:
    """Runs one subcommand and returns its exit status."""
    if not given or given[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0
    if given[0] == "--version":
        print(f"corticalign {__version__}")
        return 0
    if given[0] in ("--shell-completion", "--complete"):
        from engine.commands import completion

        if given[0] == "--shell-completion":
            print(completion.script(given[1:]), end="")
        else:  # asked by the shell: program, line, word breaks
            print(*completion.complete(*given[1:]), sep="\n")
        return 0
    if given[0] not in COMMANDS:
        from engine.errors import unknown

        raise unknown("command", given[0], COMMANDS)
    command = importlib.import_module(f"engine.commands.{given[0]}")
    return int(command.run(given[1:]))


if __name__ == "__main__":
    main()
