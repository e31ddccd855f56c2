"""What pages get beside their text: their language, a description for search engines, pictures for dark grounds."""

import html
import re
from pathlib import Path

import to_notebooks
from docutils import nodes


def add_dark_pictures(app, doctree):
    """Let NAME-dark.svg follow a picture NAME-light.svg; the theme shows the one that suits the ground."""
    for light in list(doctree.findall(nodes.image)):
        dark = light["uri"].replace("-light.", "-dark.")
        if dark != light["uri"]:
            twin = light.deepcopy()
            twin["uri"] = dark
            light["classes"].append("only-light")
            twin["classes"].append("only-dark")
            light.parent.insert(light.parent.index(light) + 1, twin)


def link_pictures(app, doctree, page):
    """Let each PNG lead to its file, as a phone shows it too small to read. A card leads elsewhere."""
    for picture in list(doctree.findall(nodes.image)):
        file = app.env.images.get(picture["uri"], (None, ""))[1]
        if app.builder.format == "html" and file.endswith(".png") and "sd-card-img-top" not in picture["classes"]:
            address = "../" * page.count("/") + f"_images/{file}"
            picture.replace_self(nodes.reference("", "", picture.deepcopy(), internal=True, refuri=address))


def make_cards(app, page, source):
    """Turn the list below a mark, which is a list wherever else one reads the page, into a grid of cards."""
    item = re.compile(
        r"^- (?:!\[(?P<alt>[^]]*)\]\((?P<picture>[^)]*)\) )?"
        r"\[(?P<title>[^]]*)\]\((?P<link>[^)]*)\)[:：] ?(?P<text>.*)\n",
        re.MULTILINE,
    )

    def card(found):
        picture = f":img-top: {found['picture']}\n:img-alt: {found['alt']}\n" if found["picture"] else ""
        link = found["link"].replace(".md", ".html")
        return (
            f":::{{grid-item-card}} {found['title']}\n:link: {link}\n:link-type: url\n:link-alt: {found['title']}\n"
            f"{picture}\n{found['text']}\n:::\n"
        )

    def grid(found):
        return f"::::{{grid}} 1 2 2 {found['columns']}\n:gutter: 3\n\n{item.sub(card, found['items'])}::::\n"

    source[0] = re.sub(
        r"^<!-- (?P<columns>\d) cards a row -->\n(?P<items>(?:- .*\n)+)", grid, source[0], flags=re.MULTILINE
    )


def link_play_page(app, page, source):
    """Let the pages on playing lead to the page to play with, which is on the site alone."""
    words = {"how-to/play": "Open the page", "ja/how-to/play": "ページを開く"}.get(page)
    if words:
        link = f'<a href="../play.html">{words}</a> · '
        source[0] = re.sub(r"(?m)^(?=\[(?:日本語|English)\])", link, source[0], count=1)


def run_notebooks(app):
    """Write the notebooks into the site, and let myst-nb show their pages with what their cells gave."""
    if app.builder.format == "html":
        to_notebooks.write_all(app.outdir)
        readers = {
            f"{page}.md": ("to_notebooks.read", {"page": page, "folder": str(app.outdir)}, False)
            for page in to_notebooks.PAGES
        }
        app.env.mystnb_config = app.env.mystnb_config.copy(custom_formats=readers)


def describe(app, page, template, context, doctree):
    """State the language of a page, and its first sentences as the description that search engines and links show."""
    context["language"] = "ja" if page.startswith("ja/") else "en"
    title = html.escape(re.sub("<.*?>", "", context.get("title", app.config.project)))
    paragraphs = doctree.findall(nodes.paragraph) if doctree else []
    texts = (" ".join(node.astext().split()) for node in paragraphs if not node.next_node(nodes.raw))
    first = next((text for text in texts if len(text) > 20), f"{app.config.project}, {title}")  # no link, no class
    text = html.escape(first[:200])
    context["metatags"] = context.get("metatags", "") + (
        f'<meta name="description" content="{text}">\n<meta property="og:description" content="{text}">\n'
        f'<meta property="og:title" content="{title}">\n<meta property="og:type" content="article">\n'
    )


def write_play_pages(app, error):
    """Write the page to play with, in both languages."""
    if error is None and app.builder.format == "html":
        import edcore.play

        for language, folder in (("en", "."), ("ja", "ja")):
            Path(app.outdir, folder, "play.html").write_text(edcore.play.html(language), encoding="utf-8")


def setup(app):
    app.connect("builder-inited", run_notebooks)
    app.connect("source-read", make_cards)
    app.connect("source-read", link_play_page)
    app.connect("doctree-read", add_dark_pictures, priority=100)  # before Sphinx looks for the files of pictures
    app.connect("doctree-resolved", link_pictures)
    app.connect("html-page-context", describe)
    app.connect("build-finished", write_play_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
