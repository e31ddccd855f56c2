"""Draw docs/how-to/play.png and play-ja.png: the page to play with, in the middle of a step.

Run it as ``python docs/picture_of_play.py``. It needs the extra "browser", Pillow and Chromium.
"""

import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from edcore.play import html

FOLDER = Path(__file__).parent / "how-to"
FILES = {"en": FOLDER / "play.png", "ja": FOLDER / "play-ja.png"}
STEP = """() => {
  for (let n = 0; n < 12; n++) takeStep();
  judge();
  begin(0, { moment: 1e12 });
  motion.start = performance.now() - 6.8e12;  // moments of the animation: two layers have learnt by back-propagation
  draw(performance.now());
}"""


def main() -> None:
    """Open the page, stop in the middle of a step, and write the picture of both networks, in both languages."""
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for language, file in FILES.items():
            page = browser.new_page(viewport={"width": 1280, "height": 1000})
            page.set_content(html(language))
            page.evaluate(STEP)
            box, drawn = (page.locator(name).bounding_box() for name in (".stage", "#ed-network"))
            clip = box | {"height": drawn["y"] + drawn["height"] - box["y"]}
            picture = Image.open(io.BytesIO(page.screenshot(clip=clip)))
            picture.convert("RGB").quantize(128).save(file, optimize=True)
        browser.close()


if __name__ == "__main__":
    main()
