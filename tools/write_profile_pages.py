"""Write docs/reference/profiles from what ``p2d explain`` prints; the documentation test compares the two."""

from pathlib import Path

from p2d.deid.profile.explanation import page
from p2d.deid.profile.profile import PRESETS

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference" / "profiles"

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, profile in PRESETS.items():
        (FOLDER / f"{name}.md").write_text(page(profile), encoding="utf-8")
