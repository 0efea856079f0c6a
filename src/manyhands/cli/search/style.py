"""How lines are shown: what the options say, and where they are silent what the terminal does.

Always true: a `Style` is whole; whoever prints asks it alone.
"""

from __future__ import annotations

from manyhands.cli.search.paint import Paint, make_paint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from manyhands.cli.search.options import Options


class Style:
    """`paths`, `numbers`, `columns`: what stands before a line. `heading`: a path stands alone above its lines.

    `separates`: ``--`` between lines that do not follow one another.
    """

    def __init__(self, *, paint: Paint | None = None, paths: bool = True) -> None:
        self.paint = paint or Paint(False)
        self.paths = paths
        self.numbers = False
        self.columns = False
        self.heading = False
        self.null = False
        self.only_matching = False
        self.each_match = False  # a line for each of its matches
        self.separates = False
        self.finds_inverted = False
        self.finds_several = False  # a match may go over several lines

    @property
    def is_plain(self) -> bool:
        """Are lines printed as they are, so that nobody need know where their matches are?"""
        return not (self.columns or self.only_matching or self.each_match or self.paint.is_on)


def make_style(options: Options, *, is_terminal: bool, has_many: bool, is_stdin: bool) -> Style:
    """For these options. `has_many`: more than one file may be searched; `is_stdin`: nothing else is."""
    style = Style(paint=make_paint(options, is_terminal))
    style.each_match = options.vimgrep
    style.columns = options.vimgrep if options.column is None else options.column
    style.paths = (has_many or options.vimgrep) if options.paths is None else options.paths
    style.heading = not options.vimgrep and (
        (is_terminal or options.pretty) if options.heading is None else options.heading
    )
    style.numbers = options.numbers if options.numbers is not None else (
        options.vimgrep or bool(options.column) or options.pretty or (is_terminal and not is_stdin)
    )  # fmt: skip
    style.null = options.null
    style.only_matching = options.only_matching
    style.separates = any(options.around_lines)
    style.finds_inverted = options.invert
    style.finds_several = options.multiline
    return style
