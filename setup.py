"""The native code: plain C11 against the stable ABI, extensions for every Python from 3.11 on.

`_native` is the core: rings and arenas. `_search` is the text store of `manyhands.search`.
"""

from pathlib import Path

from setuptools import Extension, setup


def extension(name: str, folder: str, optimize: str) -> Extension:
    """One extension from all C files right in that folder."""
    return Extension(
        f"manyhands.{name}",
        sources=sorted(str(path) for path in Path(folder).glob("*.c")),
        depends=sorted(str(path) for path in Path(folder).glob("*.h")),
        include_dirs=[folder],
        define_macros=[("Py_LIMITED_API", "0x030B0000"), ("_GNU_SOURCE", "1")],
        extra_compile_args=["-std=c11", optimize, "-g", "-Wall", "-Wextra", "-fvisibility=hidden"],
        py_limited_api=True,
    )


setup(
    ext_modules=[extension("_native", "native", "-O2"), extension("_search", "native/search", "-O3")],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
