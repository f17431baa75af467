"""No file imports another that imports it, directly or around a corner; imports inside functions count."""

import grimp
import pytest

PACKAGES = ("edgeformer", "edgeformer_converters", "edgeformer_devices", "edgeformer_runtime")


def circles(imports: dict[str, set[str]]) -> list[list[str]]:
    """Sets of modules that reach each other: Tarjan's strongly connected components with more than one member."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        order[module] = lowest[module] = len(order)
        stack.append(module)
        for other in sorted(imports[module]):
            if other not in order:
                visit(other)
            if other in stack:
                lowest[module] = min(lowest[module], lowest[other])
        if lowest[module] == order[module]:
            together = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(together) > 1:
                found.append(sorted(together))

    for module in sorted(imports):
        if module not in order:
            visit(module)
    return found


def test_circles_are_found():
    imports = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": set(), "f": {"e", "a"}}
    assert circles(imports) == [["a", "b", "c"]]
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_circle_at_file_level(package):
    graph = grimp.build_graph(package, cache_dir=None)
    assert circles({module: graph.find_modules_directly_imported_by(module) for module in graph.modules}) == []
