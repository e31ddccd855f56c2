"""Draw the signs of synapses and the split rule: `python docs/pictures.py` writes the SVGs again."""

from __future__ import annotations

from pictures import THEMES, cell, page, text

WORDS = {
    "en": {
        "synapses": "The four kinds of synapses and their signs",
        "synapses more": "Two cells of one layer, + and −, lead to two cells of the next one. A synapse between cells "
        "of the same kind is positive, between cells of two kinds negative. More activity of any + cell raises the "
        "output, more activity of any − cell lowers it.",
        "from": "sources",
        "to": "targets",
        "raises": ("excitatory:", "more activity", "raises the output"),
        "lowers": ("inhibitory:", "more activity", "lowers the output"),
        "same": "same kind, W ≥ 0: raises the target",
        "other": "two kinds, W ≤ 0: lowers the target",
        "split": "The split rule: which synapses a positive and a negative error strengthen",
        "split more": "Left: a positive error strengthens the synapses of + sources. + targets become more active, − "
        "targets less, and the output rises. Right: a negative error strengthens the synapses of − sources. + targets "
        "become less active, − targets more, and the output falls.",
        "+": ("e &gt; 0: output too low", "d⁺: synapses from + cells", "The output rises"),
        "−": ("e &lt; 0: output too high", "d⁻: synapses from − cells", "The output falls"),
        "more": "▲ more",
        "less": "▼ less",
        "legend": "thick: becomes stronger     dotted: stays as it is",
    },
    "ja": {
        "synapses": "4種類のシナプスとその符号",
        "synapses more": "1つの層の+の細胞と−の細胞から、次の層の+の細胞と−の細胞へシナプスがつながる。"
        "同じ種類の細胞の間のシナプスは正、違う種類の間は負である。どの+の細胞も、活性が増えると出力が上がる。"
        "どの−の細胞も、活性が増えると出力が下がる。",
        "from": "送り手",
        "to": "受け手",
        "raises": ("興奮性", "活性が増えると", "出力が上がる"),
        "lowers": ("抑制性", "活性が増えると", "出力が下がる"),
        "same": "同じ種類、W ≥ 0：受け手の活性を上げる",
        "other": "違う種類、W ≤ 0：受け手の活性を下げる",
        "split": "splitの学習則: 正の誤差と負の誤差が、それぞれどのシナプスを強めるか",
        "split more": "左: 正の誤差は+の送り手のシナプスを強める。+の受け手の活性は増え、−の受け手の活性は減り、"
        "出力が上がる。右: 負の誤差は−の送り手のシナプスを強める。+の受け手の活性は減り、"
        "−の受け手の活性は増え、出力が下がる。",
        "+": ("e &gt; 0：出力が低すぎる", "d⁺：+から出るシナプス", "出力が上がる"),
        "−": ("e &lt; 0：出力が高すぎる", "d⁻：−から出るシナプス", "出力が下がる"),
        "more": "▲ 増える",
        "less": "▼ 減る",
        "legend": "太い線：強まる　　点線：変わらない",
    },
}
LEFT = 'text-anchor="start"'


def heads(colours: dict[str, str]) -> list[str]:
    """Return the ends of synapses: the head of an arrow, and a bar."""
    return [
        '<defs><marker id="p" viewBox="0 0 10 10" refX="9" refY="5" markerUnits="userSpaceOnUse" markerWidth="18"',
        f'  markerHeight="18" orient="auto"><path d="M0 0 10 5 0 10z" fill="{colours["plus"]}"/></marker>',
        '<marker id="n" viewBox="0 0 4 12" refX="2" refY="6" markerUnits="userSpaceOnUse" markerWidth="8"',
        f'  markerHeight="24" orient="auto"><path d="M0 0H4V12H0z" fill="{colours["minus"]}"/></marker></defs>',
    ]


def synapse(path: str, same: bool, width: float, colours: dict[str, str]) -> str:
    """Return a synapse: an arrow between cells of the same kind, a dashed line with a bar between two kinds."""
    kind, end, dashes = ("plus", "p", "") if same else ("minus", "n", ' stroke-dasharray="9 6"')
    look = f'stroke="{colours[kind]}" stroke-width="{width}"{dashes}'
    return f'<path d="{path}" fill="none" {look} marker-end="url(#{end})"/>'


def synapses(language: str, theme: str) -> str:
    """Return the picture of the four kinds of synapses."""
    words, colours = WORDS[language], THEMES[theme]
    ink = colours["text"]
    parts = [*heads(colours), text(84, 40, words["from"], ink), text(304, 40, words["to"], ink)]
    parts += [cell(x, y, 26, sign, colours, 28) for x in (84, 304) for y, sign in ((100, "+"), (230, "−"))]
    parts += [synapse(f"M114 {y}H272", True, 3.5, colours) for y in (100, 230)]
    parts += [synapse(path, False, 3.5, colours) for path in ("M109 116 275 213", "M109 214 275 117")]
    parts += [text(194, y, "W ≥ 0", colours["plus"]) for y in (88, 258)]
    parts += [text(x, 172, "W ≤ 0", colours["minus"]) for x in (126, 262)]
    for y, key in ((78, "raises"), (208, "lowers")):
        weights = ('font-weight="bold"', "", "")
        lines = zip(words[key], weights, strict=True)
        parts += [text(346, y + 27 * row, line, ink, f"{LEFT} {bold}") for row, (line, bold) in enumerate(lines)]
    for y, same, key in ((306, True, "same"), (344, False, "other")):
        parts += [synapse(f"M40 {y}H104", same, 3.5, colours), text(124, y + 7, words[key], ink, LEFT)]
    return page((560, 372), 20, words["synapses"], words["synapses more"], parts, language, theme)


def split(language: str, theme: str) -> str:
    """Return the picture of the split rule: a panel for a positive error, a panel for a negative one."""
    words, colours = WORDS[language], THEMES[theme]
    ink, line = colours["text"], colours["line"]
    parts = [*heads(colours), f'<path d="M320 24V330" stroke="{colours["edge"]}" stroke-width="1.5"/>']
    rows = {"+": 130, "−": 240}
    for sign, x in (("+", 0), ("−", 320)):
        title, moved, outcome = words[sign]
        own, other = rows[sign], rows["−" if sign == "+" else "+"]
        step = 1 if sign == "+" else -1
        parts += [
            f'<g transform="translate({x} 0)">',
            text(20, 44, title, ink, f'{LEFT} font-weight="bold"'),
            text(20, 76, moved, ink, LEFT),
            f'<g fill="none" stroke="{line}" stroke-width="2" stroke-dasharray="2 5">',
            f'<path d="M78 {other}H150"/><path d="M71 {other - 17 * step} 157 {own + 17 * step}"/></g>',
            synapse(f"M79 {own}H152", True, 5, colours),
            synapse(f"M73 {own + 16 * step} 154 {other - 21 * step}", False, 5, colours),
            *(cell(place, y, 26, kind, colours, 28) for place in (50, 180) for kind, y in rows.items()),
            text(218, own + 7, words["more"], ink, LEFT),
            text(218, other + 7, words["less"], ink, LEFT),
            text(160, 312, outcome, ink, 'font-weight="bold"'),
            "</g>",
        ]
    parts += [text(320, 362, words["legend"], ink, 'font-size="18" xml:space="preserve"')]
    return page((640, 384), 20, words["split"], words["split more"], parts, language, theme)
