"""``python -m p2d`` and the ``p2d`` command."""

from p2d.cli.app import cli
from p2d.main.roots import roots


def main() -> None:
    """Run the command line with the factories of the composition roots."""
    cli(obj=roots(), prog_name="p2d")


if __name__ == "__main__":
    main()
