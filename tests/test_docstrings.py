"""What a docstring says about arguments is what the signature takes."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import hsm

Documented = Callable[..., Any] | type


def modules() -> Iterator[str]:
    yield "hsm"
    for found in pkgutil.walk_packages(hsm.__path__, "hsm."):
        if not found.name.endswith("__main__"):
            yield found.name
    yield from ("hsm.__main__", "hsm.training.__main__", "hsm.evaluation.__main__")


def public() -> dict[str, Documented]:
    """Every public function, class and method that a module of the package defines."""
    found: dict[str, Documented] = {}
    for module_name in modules():
        module = importlib.import_module(module_name)
        for name, value in vars(module).items():
            if name.startswith("_") or getattr(value, "__module__", None) != module_name:
                continue
            if inspect.isclass(value):
                found[f"{module_name}.{name}"] = value
                if getattr(value, "_is_protocol", False):
                    continue  # its own docstring says what its methods are
                for key, member in vars(value).items():
                    if not key.startswith("_") and inspect.isfunction(getattr(member, "__func__", member)):
                        found[f"{module_name}.{name}.{key}"] = getattr(member, "__func__", member)
            elif inspect.isfunction(value):
                found[f"{module_name}.{name}"] = value
    return found


def documented(docstring: str) -> list[str] | None:
    """The names below "Args:", or None where there is no such section."""
    lines = inspect.cleandoc(docstring).splitlines()
    if "Args:" not in lines:
        return None
    names = []
    for line in lines[lines.index("Args:") + 1 :]:
        if line and not line.startswith(" "):
            break
        entry = re.match(r" {4}\*{0,2}(\w+)(?: \([^)]*\))?: ", line + " ")
        if entry:
            names.append(entry[1])
    return names


def parameters(value: Documented) -> list[str]:
    """What a call takes; a dataclass and a named tuple take their fields."""
    return [name for name in inspect.signature(value).parameters if name != "self"]


PUBLIC = public()


@pytest.mark.parametrize("name", [n for n, v in PUBLIC.items() if documented(v.__doc__ or "") is not None])
def test_documented_arguments_are_those_of_the_signature(name: str) -> None:
    assert documented(PUBLIC[name].__doc__ or "") == parameters(PUBLIC[name])


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_says_what_it_is(name: str) -> None:
    value = PUBLIC[name]
    text = inspect.getdoc(value) or ""
    assert text, f"{name} has no docstring"
    made = dataclasses.is_dataclass(value) and text.startswith(f"{name.rsplit('.', 1)[1]}(")
    assert not made, f"{name} has only the docstring that dataclass makes"


def test_the_walk_sees_the_names() -> None:
    assert {"hsm.pipeline.HSM.separate", "hsm.records.Audio", "hsm.audio.log_mel"} <= set(PUBLIC)
    assert documented(inspect.getdoc(hsm.HSM.separate) or "") == [
        "mixture", "instruction", "options", "progress", "global_target", "local_target",
    ]  # fmt: skip
