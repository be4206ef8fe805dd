"""Read a YAML file of plain values: no tags, no anchors, no key twice."""

from pathlib import Path
from typing import Any, Final

import yaml

from p2d.model.errors import Misconfigured

_LARGEST: Final = 1 << 20


class _Plain(yaml.SafeLoader):
    """Refuses aliases, which make small files large, and keys given twice, of which the last would win."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for (node_of_key, _), key in zip(node.value, keys, strict=True):
            if not isinstance(key, str):
                raise yaml.YAMLError(_at("a key must be text: put it in quotes", node_of_key.start_mark))
            if keys.count(key) > 1:
                raise yaml.YAMLError(_at(f"{key} is given twice", node_of_key.start_mark))
        return super().construct_mapping(node, deep=deep)


def _at(problem: str, mark: Any) -> str:
    return f"{problem} (line {mark.line + 1})"


def read_yaml(path: Path) -> object:
    """Return the plain values of the YAML file at *path*.

    Raises:
        Misconfigured: absent, larger than 1 MiB, not UTF-8, not YAML, with aliases or a key twice.

    """
    try:
        content = path.read_bytes()
    except OSError:
        raise Misconfigured(
            str(path), "does not exist or is not readable", "name a preset or a project file"
        ) from None
    if len(content) > _LARGEST:
        raise Misconfigured(str(path), "is larger than 1 MiB", "a project file is a few lines")
    try:
        return yaml.load(content.decode("utf-8"), Loader=_Plain)  # noqa: S506 - a SafeLoader
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        problem = str(error).replace("\n", " ") if isinstance(error, yaml.YAMLError) else type(error).__name__
        raise Misconfigured(str(path), f"is not readable as YAML: {problem}", "correct the file") from None
