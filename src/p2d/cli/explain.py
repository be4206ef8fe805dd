"""``p2d explain`` tells what a profile does to every attribute, or to each element of a file, and why."""

import json
from pathlib import Path

import click

from p2d.deid.profile.attributes import path_of
from p2d.deid.profile.explanation import WORDS, Explained, attribute_of, explained, page
from p2d.deid.profile.file_explanation import ElementExplained, explained_file
from p2d.deid.profile.profile import Profile
from p2d.deid.profile.project import read_profile


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--profile",
    "name",
    default="research",
    show_default=True,
    help="basic, research, strict or a project file.",
)
@click.option("--attribute", help="Only this one: keyword, GGGGEEEE or (gggg,eeee).")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def explain(file: Path | None, name: str, attribute: str | None, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """Print what de-identification does to every attribute, and why.

    With FILE: to each element of that DICOM file, by tag and keyword, never a value. Without: to every
    attribute that PS3.15 or the profile names, as Markdown.

    \b
      p2d explain --profile strict
      p2d explain --attribute SeriesDescription
      p2d explain --profile liver.yaml scan.dcm
    """  # noqa: D301 - click's paragraph marker
    profile = read_profile(name)
    tag = path_of("--attribute", attribute) if attribute else ""
    if file is not None:
        elements = [one for one in explained_file(profile, file) if not tag or tag in one.path]
        click.echo(_json(profile, [_of_element(one) for one in elements]) if as_json else _table(elements))
    elif as_json or tag:
        chosen = [attribute_of(profile, tag)] if tag else explained(profile)
        click.echo(_json(profile, [_of_attribute(one) for one in chosen]) if as_json else _line(chosen[0]))
    else:
        click.echo(page(profile), nl=False)


def _line(one: Explained) -> str:
    return f"{one.keyword} ({one.tag[:4]},{one.tag[4:]}) {one.vr}: {one.outcome}\n  {one.why}"


def _table(elements: list[ElementExplained]) -> str:
    actions = [WORDS[one.action] for one in elements]
    width = max((len(action) for action in actions), default=0)
    return "\n".join(
        f"{one.vr:<2}  {action:<{width}}  {one.name}: {one.why.rpartition(' -> ')[0] or one.why}"
        for one, action in zip(elements, actions, strict=True)
    )


def _of_attribute(one: Explained) -> dict[str, object]:
    by_type = {kind: action.name for kind, action in zip(("1", "2", "3"), one.actions, strict=True)}
    return {"tag": one.tag, "keyword": one.keyword, "vr": one.vr, "action_by_type": by_type, "why": one.why}


def _of_element(one: ElementExplained) -> dict[str, object]:
    return {"path": one.path, "name": one.name, "vr": one.vr, "action": one.action.name, "why": one.why}


def _json(profile: Profile, rows: list[dict[str, object]]) -> str:
    head = {
        "profile": profile.name,
        "version": profile.version,
        "mode": profile.mode,
        "options": sorted(profile.options),
    }
    return json.dumps({**head, "attributes": rows}, indent=1)
