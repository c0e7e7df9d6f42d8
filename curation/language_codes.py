"""Language codes for people who wrote a name: `german`, `deu` or `de-AT` where the model says `de`.

In: what was written, and the labels that a model knows. Out: the end of an error message.
Shown by: `gristmill plan` of a recipe with `language: {keep: german}`.
Limit: for advice only, some 80 languages; what a model calls them stands in its labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from gristmill.errors import nearest

# ISO 639: the two letters, the English name, the three letters (of both kinds where they differ).
_TABLE = """
af afrikaans afr | sq albanian sqi alb | am amharic amh | ar arabic ara | hy armenian hye arm
az azerbaijani aze | eu basque eus baq | be belarusian bel | bn bengali ben | bs bosnian bos
bg bulgarian bul | my burmese mya bur | ca catalan cat | zh chinese zho chi mandarin
hr croatian hrv | cs czech ces cze | da danish dan | nl dutch nld dut flemish | en english eng
eo esperanto epo | et estonian est | fi finnish fin | fr french fra fre | gd gaelic gla
gl galician glg | ka georgian kat geo | de german deu ger deutsch | el greek ell gre
gu gujarati guj | ht haitian hat | ha hausa hau | he hebrew heb iw | hi hindi hin
hu hungarian hun | is icelandic isl ice | ig igbo ibo | id indonesian ind | ga irish gle
it italian ita | ja japanese jpn jp | jv javanese jav | kn kannada kan | kk kazakh kaz
km khmer khm | ko korean kor | ku kurdish kur | ky kyrgyz kir | lo lao lao | la latin lat
lv latvian lav | lt lithuanian lit | lb luxembourgish ltz | mk macedonian mkd mac
mg malagasy mlg | ms malay msa may | ml malayalam mal | mt maltese mlt | mr marathi mar
mn mongolian mon | ne nepali nep | no norwegian nor nb | oc occitan oci | or odia ori oriya
ps pashto pus | fa persian fas per farsi | pl polish pol | pt portuguese por brazilian
pa punjabi pan | qu quechua que | ro romanian ron rum | ru russian rus | sa sanskrit san
sr serbian srp | si sinhala sin | sk slovak slk slo | sl slovenian slv | so somali som
es spanish spa castilian | sw swahili swa | sv swedish swe | tl tagalog tgl filipino
tg tajik tgk | ta tamil tam | tt tatar tat | te telugu tel | th thai tha | tr turkish tur
tk turkmen tuk | uk ukrainian ukr | ur urdu urd | ug uyghur uig | uz uzbek uzb | vi vietnamese vie
cy welsh cym wel | xh xhosa xho | yi yiddish yid | yo yoruba yor | zu zulu zul
"""
_ENTRIES = [entry.split() for line in _TABLE.split("\n") for entry in line.split("|") if entry]
_NAMES = {code: words[0] for code, *words in _ENTRIES}
_CODES = {word: code for code, *words in _ENTRIES for word in (code, *words)}


def suggest_language(written: str, known: Iterable[str]) -> str:
    """`; did you mean 'de' (German)?` for `german`, `deu`, `DE` or `de-AT`; else what codes are."""
    labels = set(known)
    low = written.strip().lower()
    near = get_close_matches(low, [word for word in _CODES if len(word) > 3], n=1, cutoff=0.75)
    for word in (low, re.split(r"[-_]", low)[0], *near):
        code = word if word in labels else _CODES.get(word, "")
        if code in labels:
            name = f" ({_NAMES[code].capitalize()})" if code in _NAMES else ""
            return f"; did you mean {code!r}{name}?"
    if not {"en", "de", "zh"} <= labels:
        return nearest(written, labels)  # a model with labels of its own
    return f"; it knows {len(labels)} codes, such as 'en' (English), 'de' (German), 'zh' (Chinese)"
