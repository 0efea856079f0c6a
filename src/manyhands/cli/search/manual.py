"""The text of ``manyhands search --help``."""

from __future__ import annotations

MANUAL = """\
usage: manyhands search [OPTION]... PATTERN [PATH]...
       manyhands search [OPTION]... -e PATTERN | -f FILE [PATH]...
       manyhands search [OPTION]... --files [PATH]...
       COMMAND | manyhands search [OPTION]... PATTERN

Search text files for lines that match PATTERN, a regular expression (RE2's syntax). Without PATH the working folder is
searched, or stdin when something is piped into it; - is stdin. Files that .gitignore and .ignore name, hidden files and
binary files are left out. Options and output are ripgrep's; what comes is in the order of paths.

What to look for
  -e, --regexp PATTERN       a pattern; with several, any of them
  -f, --file FILE            patterns from the lines of FILE (- is stdin)
  -F, --fixed-strings        patterns are plain text
  -i, --ignore-case          capital and small letters are the same
  -S, --smart-case           so they are, unless a pattern has a capital letter
  -s, --case-sensitive       so they are not (the default)
  -w, --word-regexp          matches have no letter, digit or underscore before or behind them
  -x, --line-regexp          matches are whole lines
  -v, --invert-match         lines that do not match
  -U, --multiline            matches may go over several lines
      --and PATTERN          lines that match this, too (several: all of them)
      --not PATTERN          lines that do not match this (several: none of them)
      --scope line|file      --and and --not are about the line (the default) or the whole file
  -m, --max-count NUM        at most NUM lines a file
      --limit NUM            at most NUM lines in all (with -l: files)
      --deadline SECONDS     stop then, with what was found by then; the exit status is 2

Where
  -g, --glob GLOB            only files that GLOB matches, or with !GLOB not those; the last one decides
  -t, --type TYPE            only files of TYPE
  -T, --type-not TYPE        no files of TYPE
      --type-list            print the types and their globs
  -., --hidden               hidden files and folders, too
      --no-ignore            do not obey ignore files
  -a, --text, --binary       binary files, too
  -u, -uu, -uuu              --no-ignore; and --hidden; and --binary
  -L, --follow               follow symlinks that stay inside of PATH (not --files-without-match, as grep has it)
      --max-filesize SIZE    no larger files (500, 20K, 3M, 1G)
      --no-service           do not ask a running service (manyhands serve), which may hold all of PATH in memory

What to print
  -c, --count                how many lines match, a file
      --count-matches        how many matches there are, a file
  -l, --files-with-matches   the paths of files with a match
      --files-without-match  the paths of files without a match (it has no short form)
      --files                the paths of the files that would be searched
  -q, --quiet                nothing: the exit status says it
  -o, --only-matching        only what matches
  -r, --replace TEXT         TEXT in place of what matches; $1, ${name} and $0 are groups, $$ is a dollar
      --diff                 with --replace: what it would change, as a diff that patch -p0 takes
  -B, --before-context NUM   NUM lines before each match
  -A, --after-context NUM    NUM lines behind each match
  -C, --context NUM          both
  -n, --line-number          line numbers (the default on a terminal)
  -N, --no-line-number       none
  -H, --with-filename        paths (the default when several files may be searched)
  -I, --no-filename          none
      --column               the column of the first match
      --vimgrep              a line for each match, with path, line and column
      --heading, --no-heading
                             paths above their lines (the default on a terminal), or before each line
  -0, --null                 a NUL behind each path
      --json                 a JSON object a line: begin, match, context, end, summary
      --color WHEN           auto (the default), always or never
  -p, --pretty               --color always --heading --line-number
      --hyperlink            with colours: paths are links
      --sort path|none       both are the order of paths
      --stats                what was found, and how long it took
      --skipped              list on stderr the files that were not searched, and why
      --no-messages          no complaints about files on stderr

  -h, --help                 this text
  -V, --version              the version

An option that takes a value may be written -A3, -A 3, --after-context=3 or --after-context 3; -- ends the options.

The exit status is 0 when something was found and 1 when nothing was; 2 when something was wrong, found or not (with -q
only when not); 130 after Ctrl-C, and 141 when nobody reads the output any more.
"""
