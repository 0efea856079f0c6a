"""File types by name: which globs tell a language's files. No look at the content.

Always true: globs speak of a file's own name, never of its path. A name may belong to several types (``*.h`` to C and
C++); the first in the table is its language.
"""

from __future__ import annotations

import os

from manyhands.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_TABLE = """
ada *.adb *.ads
agda *.agda *.lagda
asciidoc *.adoc *.asc *.asciidoc
asm *.asm *.s *.S *.nasm
astro *.astro
awk *.awk
batch *.bat *.cmd
bazel *.bazel *.bzl BUILD WORKSPACE MODULE.bazel .bazelrc
bibtex *.bib
bitbake *.bb *.bbappend *.bbclass
c *.c *.h *.h.in *.cats
capnp *.capnp
carp *.carp
clojure *.clj *.cljc *.cljs *.cljx *.edn
cmake *.cmake CMakeLists.txt
coffeescript *.coffee
config *.cfg *.conf *.config *.ini
cpp *.cpp *.cc *.cxx *.c++ *.C *.hpp *.hh *.hxx *.h++ *.H *.inl *.ipp *.tpp *.h *.hpp.in
crystal *.cr *.ecr Projectfile
csharp *.cs *.csx
cshtml *.cshtml
css *.css
csv *.csv *.tsv
cuda *.cu *.cuh
cython *.pyx *.pxd *.pxi
d *.d *.di
dart *.dart
devicetree *.dts *.dtsi *.dtso
diff *.diff *.patch
docker Dockerfile Dockerfile.* *.dockerfile Containerfile
dockercompose docker-compose.yml docker-compose.*.yml docker-compose.yaml compose.yml compose.yaml
dotenv .env .env.*
elisp *.el
elixir *.ex *.exs *.eex *.heex *.leex
elm *.elm
erb *.erb *.rhtml
erlang *.erl *.hrl *.escript rebar.config
fennel *.fnl
fish *.fish
flatbuffers *.fbs
fortran *.f *.F *.f77 *.f90 *.F90 *.f95 *.F95 *.f03 *.f08 *.for *.ftn *.pfo
fsharp *.fs *.fsi *.fsx *.fsproj
gap *.g *.gap *.gd *.gi
gdscript *.gd *.tscn *.tres project.godot
git .gitignore .gitattributes .gitmodules .gitconfig .mailmap
gleam *.gleam
glsl *.vert *.frag *.geom *.tesc *.tese *.comp *.glsl
gn *.gn *.gni
go *.go go.mod go.sum go.work
gradle *.gradle *.gradle.kts gradlew gradle.properties
graphql *.graphql *.graphqls *.gql
groovy *.groovy *.gvy Jenkinsfile
haml *.haml
handlebars *.hbs *.handlebars
hare *.ha
haskell *.hs *.lhs *.hs-boot *.cabal cabal.project stack.yaml
haxe *.hx *.hxml
hcl *.hcl
hlsl *.hlsl *.fx *.fxh
html *.html *.htm *.xhtml
idris *.idr *.lidr
ignore .ignore .rgignore .dockerignore .npmignore .prettierignore .eslintignore
java *.java *.jsp *.jspx *.properties
jinja *.j2 *.jinja *.jinja2
jq *.jq
js *.js *.jsx *.mjs *.cjs *.es6
json *.json *.jsonc *.json5 *.geojson *.webmanifest composer.lock
jsonl *.jsonl *.ndjson
jsonnet *.jsonnet *.libsonnet
julia *.jl
jupyter *.ipynb
just justfile Justfile .justfile *.just
k *.k
kconfig Kconfig Kconfig.* *.kconfig
kotlin *.kt *.kts
lean *.lean
less *.less
license COPYING COPYING.* LICENSE LICENSE.* LICENCE LICENCE.* COPYRIGHT NOTICE UNLICENSE
lilypond *.ly *.ily
linker *.ld *.lds *.lds.S
lisp *.lisp *.lsp *.cl *.asd
lock *.lock package-lock.json pnpm-lock.yaml
log *.log
lua *.lua *.rockspec
m4 *.m4 *.ac configure.in
mail *.eml *.mbox
make Makefile makefile GNUmakefile Makefile.* *.mk *.mak Kbuild Kbuild.*
mako *.mako *.mao
man *.1 *.2 *.3 *.4 *.5 *.6 *.7 *.8 *.9 *.man *.mdoc
matlab *.m *.mlx
md *.md *.markdown *.mdown *.mdwn *.mkd *.mkdn *.mdx
meson meson.build meson_options.txt meson.options
mojo *.mojo
move *.move
nim *.nim *.nims *.nimble *.nimf
ninja *.ninja
nix *.nix
objc *.m *.mm
ocaml *.ml *.mli *.mll *.mly *.opam dune dune-project
odin *.odin
opencl *.cl *.clh
org *.org *.org_archive
pascal *.pas *.pp *.dpr *.lpr *.dfm *.lfm
perl *.pl *.pm *.t *.PL *.perl *.pod *.psgi
php *.php *.php3 *.php4 *.php5 *.php7 *.php8 *.phtml *.inc
po *.po *.pot
pony *.pony
postscript *.ps *.eps
powershell *.ps1 *.psm1 *.psd1 *.ps1xml
prolog *.pro *.prolog *.P
protobuf *.proto
puppet *.epp *.pp Puppetfile
purescript *.purs
py *.py *.pyi *.pyw SConstruct SConscript wscript
pyproject pyproject.toml setup.cfg setup.py tox.ini Pipfile requirements.txt requirements*.txt
qml *.qml *.qmltypes
r *.r *.R *.Rmd *.Rnw *.Rprofile
racket *.rkt *.rktd *.rktl *.scrbl
readme README README.* readme readme.*
reasonml *.re *.rei
rescript *.res *.resi
robot *.robot *.resource
rst *.rst *.rest
ruby *.rb *.rbw *.rbs *.gemspec *.rake *.ru Gemfile Rakefile Guardfile Vagrantfile .irbrc config.ru
rust *.rs Cargo.toml Cargo.lock
sass *.sass *.scss
scala *.scala *.sbt *.sc
scheme *.scm *.ss *.sld
sh *.sh *.bash *.zsh *.ksh *.csh *.tcsh *.dash .bashrc .bash_profile .bash_aliases .profile .zshrc .zshenv .zprofile
slim *.slim *.skim
smali *.smali
smarty *.tpl
sml *.sml *.sig *.fun
solidity *.sol
spec *.spec
sql *.sql *.psql *.pls *.plsql
starlark *.star *.bzl
stylus *.styl
svelte *.svelte
svg *.svg
swift *.swift
swig *.i *.swg
systemd *.service *.socket *.timer *.target *.mount *.automount *.path *.slice *.scope *.network *.netdev *.link
systemverilog *.sv *.svh *.vg
tcl *.tcl *.tk
terraform *.tf *.tfvars *.tf.json *.tfvars.json terraform.rc .terraformrc
tex *.tex *.ltx *.cls *.sty *.dtx *.ins
texinfo *.texi *.texinfo
thrift *.thrift
toml *.toml
ts *.ts *.tsx *.mts *.cts
twig *.twig
txt *.txt *.text
typst *.typ
v *.v *.vsh v.mod
vala *.vala *.vapi
vb *.vb *.vbs *.bas *.vba
verilog *.v *.vh
vhdl *.vhd *.vhdl
vim *.vim .vimrc .gvimrc vimrc gvimrc _vimrc
vue *.vue
wasm *.wat *.wast *.wit
webidl *.webidl *.idl
wgsl *.wgsl
xml *.xml *.xsd *.xsl *.xslt *.dtd *.rng *.rnc *.sch *.plist *.resx *.csproj *.vcxproj
yacc *.y *.yy
lex *.l *.ll
yaml *.yaml *.yml
yang *.yang
zig *.zig *.zon
"""

#: Name of a type → its globs, in the order in which a file's language is decided.
LANGUAGES: dict[str, tuple[str, ...]] = {
    words[0]: tuple(words[1:]) for words in map(str.split, _TABLE.strip().splitlines())
}

#: Other names people use → the name in `LANGUAGES`.
ALIASES: dict[str, str] = {
    "adoc": "asciidoc", "bash": "sh", "bat": "batch", "bib": "bibtex", "c#": "csharp", "c++": "cpp", "cc": "cpp",
    "clj": "clojure", "coffee": "coffeescript", "cs": "csharp", "cxx": "cpp", "dockerfile": "docker",
    "dts": "devicetree",
    "el": "elisp", "emacs": "elisp", "erl": "erlang", "ex": "elixir", "f90": "fortran", "fs": "fsharp", "golang": "go",
    "gql": "graphql", "hbs": "handlebars", "hs": "haskell", "htm": "html", "ini": "config", "ipynb": "jupyter",
    "javascript": "js", "jinja2": "jinja", "jl": "julia", "jsx": "js", "kt": "kotlin", "latex": "tex", "mak": "make",
    "makefile": "make", "markdown": "md", "ml": "ocaml", "nb": "jupyter", "objective-c": "objc", "objectivec": "objc",
    "patch": "diff", "pl": "perl", "proto": "protobuf", "ps1": "powershell", "pyrex": "cython", "python": "py",
    "rb": "ruby",
    "restructuredtext": "rst", "rkt": "racket", "rs": "rust", "scss": "sass", "shell": "sh", "sol": "solidity",
    "sv": "systemverilog", "text": "txt", "tf": "terraform", "tsx": "ts", "typescript": "ts", "viml": "vim",
    "visualbasic": "vb", "yml": "yaml", "zsh": "sh",
}  # fmt: skip


def matching_globs(names: Iterable[str]) -> tuple[str, ...]:
    """The globs of these types or aliases, each once. Raises UsageError for a name that is neither."""
    found: dict[str, None] = {}
    for name in names:
        found.update(dict.fromkeys(LANGUAGES[_known(name)]))
    return tuple(found)


class Names:
    """The names that globs of the table claim. Such a glob has no wildcard but one star; a test says so."""

    __slots__ = ("_between", "_endings", "_exact")

    def __init__(self, globs: Iterable[str]) -> None:
        halves = [(os.fsencode(glob), *map(os.fsencode, glob.split("*", 1))) for glob in globs]
        self._exact = frozenset(parts[0] for parts in halves if len(parts) == 2)
        self._endings = tuple(parts[2] for parts in halves if len(parts) == 3 and not parts[1])
        self._between = [parts[1:] for parts in halves if len(parts) == 3 and parts[1]]

    def claim(self, name: bytes) -> bool:
        """Whether one of them matches the name."""
        if name in self._exact or name.endswith(self._endings):
            return True
        return any(
            len(name) >= len(head) + len(tail) and name.startswith(head) and name.endswith(tail)
            for head, tail in self._between
        )


def language_of(path: str | bytes | os.PathLike[str]) -> str | None:
    """The type of a file by its name, the longest ending deciding; None when no type claims it."""
    name = os.path.basename(os.fsdecode(path))
    exact, endings, beginnings = _tables()
    if name in exact:
        return exact[name]
    dot = name.find(".")
    while dot >= 0:
        if name[dot:] in endings:
            return endings[name[dot:]]
        dot = name.find(".", dot + 1)
    return next((kind for text, kind in beginnings if name.startswith(text)), None)


def _known(name: str) -> str:
    plain = name.lower()
    plain = ALIASES.get(plain, plain)
    if plain not in LANGUAGES:
        from difflib import get_close_matches

        close = get_close_matches(plain, [*LANGUAGES, *ALIASES], 3)
        hint = f"did you mean {' or '.join(close)}?" if close else "LANGUAGES lists them"
        raise UsageError(f"there is no file type {name!r}; {hint}")
    return plain


_LOOKUP: list[tuple[dict[str, str], dict[str, str], list[tuple[str, str]]]] = []


def _tables() -> tuple[dict[str, str], dict[str, str], list[tuple[str, str]]]:
    """Whole names, endings, and beginnings with their types; made when first needed."""
    if not _LOOKUP:
        exact: dict[str, str] = {}
        endings: dict[str, str] = {}
        beginnings: list[tuple[str, str]] = []
        for kind, globs in LANGUAGES.items():
            for glob in globs:
                if glob.startswith("*"):
                    endings.setdefault(glob[1:], kind)
                elif glob.endswith("*"):
                    beginnings.append((glob[:-1], kind))
                elif "*" not in glob:
                    exact.setdefault(glob, kind)
        _LOOKUP.append((exact, endings, beginnings))
    return _LOOKUP[0]
