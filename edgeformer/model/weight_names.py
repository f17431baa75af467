"""Names of tensors in a file against the names that a model has: wrappers' prefixes, and what is left over."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ..errors import ModelError

# what torch.compile, FSDP, activation checkpointing and DataParallel put into the middle of names
WRAPPERS = re.compile(r"(?<![^.])(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|module)\.")


@dataclass(frozen=True)
class Renaming:
    """Regular expressions on the file's names, what takes the place of each, and the same in words for a note."""

    patterns: Mapping[str, str]
    words: str


def renaming(
    unused: Collection[str], missing: Collection[str], all_names: int, base: str, model: str
) -> Renaming | None:
    """How the file's names become the model's, where wrappers put prefixes before them or into them; None if none did.

    Args:
        unused: names in the file that the model doesn't have.
        missing: the model's names that the file doesn't have.
        all_names: how many names the model has; a prefix that explains less than half of them is none.
        base: the prefix of the model's encoder ("bert."), which may be called otherwise in the file; "" for none.
        model: what the error calls the model.

    Raises:
        ModelError: two prefixes would serve equally, as in a file that holds a student and its teacher.
    """
    unwrapped = {name: WRAPPERS.sub("", name) for name in unused}
    if 2 * len(set(unwrapped.values()) & set(missing)) >= all_names:
        return _by_name({old: new for old, new in unwrapped.items() if old != new}, "")
    for instead in dict.fromkeys(("", base)):
        prefix = _one_prefix(unwrapped.values(), missing, all_names, instead, model)
        if prefix is not None:
            break
    else:
        return None
    words = f"{prefix!r} read as {instead!r}" if instead else f"{prefix!r} taken off"
    if not any(old != new for old, new in unwrapped.items()):
        return Renaming({f"^{re.escape(prefix)}": instead}, words)
    renamed = {old: instead + new.removeprefix(prefix) for old, new in unwrapped.items() if new.startswith(prefix)}
    return _by_name(renamed, words)


def _one_prefix(names: Iterable[str], missing: Collection[str], all_names: int, instead: str, model: str) -> str | None:
    """The prefix in the file's names that makes at least half of the model's when ``instead`` takes its place."""
    served: dict[str, set[str]] = {}
    for name in names:
        for prefix, rest in _splits(name):
            if instead + rest in missing:
                served.setdefault(prefix, set()).add(rest)
    enough = sorted(prefix for prefix, found in served.items() if 2 * len(found) >= all_names)
    if len(enough) > 1:
        raise ModelError(
            f"model {model}: its tensors occur under {' and under '.join(map(repr, enough))}: which of them is wanted "
            "can't be known. Save that one alone, with save_pretrained"
        )
    return enough[0] if enough else None


def _by_name(renamed: Mapping[str, str], words: str) -> Renaming:
    """Every name on its own where wrappers' words stand anywhere in it, one prefix where that is all."""
    wrappers = Counter(match.group(0) for old in renamed for match in WRAPPERS.finditer(old))
    taken = f"{', '.join(repr(word) for word, _ in wrappers.most_common())} taken off" if wrappers else ""
    said = " and ".join(text for text in (taken, words) if text)
    prefixes = {old.removesuffix(new) for old, new in renamed.items()}
    if len(prefixes) == 1 and all(old.endswith(new) for old, new in renamed.items()):
        # one rule for all: names that only transformers' own rules make the model's are taken along
        return Renaming({f"^{re.escape(prefixes.pop())}": ""}, said)
    return Renaming({f"^{re.escape(old)}$": new for old, new in renamed.items()}, said)


def _splits(name: str) -> Iterable[tuple[str, str]]:
    for position, character in enumerate(name):
        if character == ".":
            yield name[: position + 1], name[position + 1 :]


def groups(names: Collection[str], others: Collection[str]) -> dict[str, int]:
    """Names by the shortest prefix that no name of ``others`` has, made as long as all names under it allow.

    >>> groups(["cls.predictions.bias", "cls.predictions.dense.bias"], ["bert.pooler.bias"])
    {'cls.predictions': 2}
    """
    taken = {prefix for other in others for prefix, _ in _splits(other)}
    by_prefix: dict[str, list[str]] = {}
    for name in sorted(names):
        prefix = next((prefix for prefix, _ in _splits(name) if prefix not in taken), name)
        by_prefix.setdefault(prefix, []).append(name)
    return {_common(members): len(members) for members in by_prefix.values()}


def _common(names: list[str]) -> str:
    """The longest run of whole parts that all ``names`` begin with; a single name is itself."""
    parts = [name.split(".") for name in names]
    if len(parts) == 1:
        return names[0]
    shared = 0
    while all(len(p) > shared + 1 and p[shared] == parts[0][shared] for p in parts):
        shared += 1
    return ".".join(parts[0][:shared]) or names[0]


def grouped_text(names: Collection[str], others: Collection[str]) -> str:
    """ "197 tensors under cls.predictions, classifier.weight": what ``groups`` found, in words."""
    found = groups(names, others)
    return ", ".join(name if count == 1 else f"{count} tensors under {name}" for name, count in found.items())
