"""Write the pages and pictures in docs/results from their JSON files again: `python docs/pictures_of_results.py`."""

import json
from pathlib import Path

from edcore.comparison import Comparison
from edcore.plots.canvas import plain_text, rendered
from edcore.plots.reproduction import png
from edcore.reproduce.outcome import Outcome
from edcore.reproduce.page import markdown

FOLDER = Path(__file__).parent / "results"


def main() -> None:
    """Write NAME.md and NAME.png for each NAME.json, as `edcore reproduce NAME` and `edcore compare` do."""
    for file in sorted(FOLDER.glob("*.json")):
        if file.stem.startswith("compare-"):
            found = Comparison.from_dict(json.loads(file.read_text(encoding="utf-8")))
            file.with_suffix(".md").write_text(found.markdown(f"{file.stem}.png"), encoding="utf-8")
            with plain_text():
                file.with_suffix(".png").write_bytes(rendered(found.plot(), "png"))
            continue
        outcome = Outcome.from_dict(json.loads(file.read_text(encoding="utf-8")))
        file.with_suffix(".md").write_text(markdown(outcome), encoding="utf-8")
        with plain_text():
            file.with_suffix(".png").write_bytes(png(outcome))


if __name__ == "__main__":
    main()
