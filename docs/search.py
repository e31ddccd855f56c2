"""A search that finds Japanese, whose words stand without blanks: each pair of letters is a word of the index."""

import itertools
import re

from sphinx.search.en import SearchEnglish

JAPANESE = "\u3005\u3040-\u30ff\u4e00-\u9fff"  # 々, kana with the long vowel, kanji


class SearchEnglishAndJapanese(SearchEnglish):
    """English words by their stems; Japanese by its letters and pairs of neighbours: 学習率 is 学習 and 習率."""

    lang = "en-ja"
    language_name = "English"  # of the stemmer
    js_splitter_code = f"""
function splitQuery(query) {{
  const runs = query.match(/[{JAPANESE}]+|(?:(?![{JAPANESE}])[\\p{{L}}\\p{{N}}_])+/gu) || [];
  const pairs = (run) => Array.from(run.slice(1), (letter, before) => run[before] + letter);
  return runs.flatMap((run) => (/[{JAPANESE}]/.test(run) && run.length > 2 ? pairs(run) : [run]));
}}
"""

    def split(self, input: str) -> list[str]:
        """Return the words of a text; of Japanese each letter and each pair of neighbours."""
        words = []
        for run in re.findall(rf"[{JAPANESE}]+|[^\W{JAPANESE}]+", input):
            pairs = map("".join, itertools.pairwise(run))
            words += {*run, *pairs} if re.match(f"[{JAPANESE}]", run) else [run]
        return words
