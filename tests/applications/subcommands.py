"""The command line of the small applications in Python: one subcommand a use of the module."""

import argparse


def chosen(commands):
    """The function that the command line names, and its arguments; `commands` has their names for each function."""
    parser = argparse.ArgumentParser()
    parsers = parser.add_subparsers(required=True)
    for function, arguments in commands.items():
        command = parsers.add_parser(function.__name__)
        command.set_defaults(function=function)
        for argument in arguments:
            command.add_argument(argument)
    arguments = vars(parser.parse_args())
    return arguments.pop("function"), arguments
