"""Draw the pictures of docs/how-to/plots.md by running its code: `python docs/pictures_of_plots.py`."""

import contextlib
import io
import os
import re
import shutil
import tempfile
from pathlib import Path

from PIL import Image

PAGE = Path(__file__).parent / "how-to" / "plots.md"


def main() -> None:
    """Run the page's code, and keep each NAME.png or NAME.gif that the page shows as plots-NAME."""
    text = PAGE.read_text(encoding="utf-8")
    names: dict[str, object] = {"__name__": "__docs__"}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for code in re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
            with contextlib.redirect_stdout(io.StringIO()):
                exec(code, names)
        for name in re.findall(r"\(plots-([\w.-]+)\)", text):
            kept = PAGE.parent / f"plots-{name}"
            if name.endswith(".png"):  # a palette makes the file a third as large
                Image.open(name).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(kept, optimize=True)
            else:
                shutil.copy(name, kept)
            print(f"{kept.name}: {os.path.getsize(kept):,} bytes")


if __name__ == "__main__":
    main()
