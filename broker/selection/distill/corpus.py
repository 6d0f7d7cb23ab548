"""The generic English that the table is fitted to. No text of any set that selection is measured on.

Four sources, all free: WordNet's glosses and examples, the one-line summaries of Debian's packages,
ChatterBot's dialogues, Home Assistant's sentence templates. Glosses of verbs read as orders ("draw air into the
lungs") and are dressed as requests; glosses of nouns read as descriptions and are dressed as cards.
"""

import json
import random
import re

SEED = 6
ASKING = [
    "how do i {}", "how can i {}", "can you {}", "could you {}", "please {}", "i need to {}", "i want to {}",
    "help me {}", "what is the best way to {}", "i would like you to {}", "is there a way to {}", "show me how to {}",
    "can you help me {}?", "Could you please {}?", "I'm trying to {}.", "Please {} for me.", "we have to {} today",
]
ABOUT = [
    "what is {}", "tell me about {}", "where can i find {}", "i am looking for {}", "find me {}",
    "do you know anything about {}", "how much is {}", "what does {} mean", "show me {}", "I need information on {}.",
    "what's the {} like", "could you give me details about {}?", "i have a question about my {}", "book {} for me",
    "when is my {}", "add {} to my list", "search for {}", "recommend {}", "check {}", "create {}", "cancel my {}",
]
CARDS = ["{name}. {gloss}", "{name}: {gloss}", "{gloss}", "{name}. Helps with {name}: {gloss}"]
SHARES = {"example": 26_000, "order": 13_000, "card": 24_000, "about": 12_000, "summary": 14_000,
          "dialogue": 6_000, "home": 3_000}


def corpus(wordnet, summaries, chatterbot, home_assistant):
    """All texts, shuffled once with a fixed seed, so that any beginning of the list is a fair mix."""
    draw = random.Random(SEED)
    examples, orders, cards, names = _wordnet(wordnet, draw)
    kinds = {
        "example": examples, "order": orders, "card": cards,
        "about": [draw.choice(ABOUT).format(name) for name in names],
        "summary": sorted({re.sub(r" \([^()]*\)$", "", line) for line in summaries}), "dialogue": _dialogue(chatterbot), "home": _home(home_assistant, draw),
    }
    texts = []
    for kind, share in SHARES.items():
        found = [text for text in dict.fromkeys(kinds[kind]) if 2 <= len(text.split()) <= 40]
        draw.shuffle(found)
        texts += found[:share]
    texts = list(dict.fromkeys(texts))
    draw.shuffle(texts)
    return texts


def _wordnet(folder, draw):
    examples, orders, cards, names = [], [], [], []
    for part in ("noun", "verb", "adj", "adv"):
        for line in (folder / f"data.{part}").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("  ") or " | " not in line:
                continue
            entry, text = line.split(" | ", 1)
            fields = entry.split()
            words = [re.sub(r"\(.*\)", "", fields[4 + 2 * i]).replace("_", " ") for i in range(int(fields[3], 16))]
            examples += [quote for quote in re.findall(r'"([^"]+)"', text) if len(quote.split()) > 2]
            gloss = re.sub(r"\([^)]*\)", "", re.sub(r'"[^"]*"', "", text)).split(";")[0].strip(" -")
            if not gloss:
                continue
            if part == "verb":
                orders.append(draw.choice(ASKING).format(gloss) if draw.random() < 0.7 else gloss)
                names.append(words[0])
            else:
                cards.append(draw.choice(CARDS).format(name=draw.choice(words), gloss=gloss))
                names += words if part == "noun" and not words[0][:1].isupper() else []
    return examples, orders, cards, names


def _dialogue(folder):
    lines = []
    for path in sorted((folder / "data" / "english").glob("*.yml")):
        for line in path.read_text(encoding="utf-8").splitlines():
            said = re.match(r"\s*-\s+(?:-\s+)?(.+)", line)
            if said:
                lines.append(said.group(1).strip("'\" "))
    return lines


def _home(path, draw):
    """Home Assistant's templates, "(turn|switch) on [the] {name}", each said a few times with drawn branches."""
    data = json.loads(path.read_text(encoding="utf-8"))
    rules, lists = data["expansion_rules"], data["lists"]
    said = []
    for intent in data["intents"].values():
        for block in intent["data"]:
            for template in block["sentences"]:
                said += [_said(template, rules, lists, draw) for _ in range(12)]
    return said


def _said(template, rules, lists, draw):
    text = template
    for _ in range(12):
        text = re.sub(r"<([^<>]+)>", lambda m: "(" + rules.get(m.group(1), "") + ")", text)
        if "<" not in text:
            break
    while True:
        inner = re.search(r"\[([^\[\]()]*)\]|\(([^\[\]()]*)\)", text)
        if not inner:
            break
        options = (inner.group(1) if inner.group(1) is not None else inner.group(2)).split("|")
        options += [""] * (len(options) if inner.group(1) is not None else 0)
        text = text[:inner.start()] + draw.choice(options) + text[inner.end():]

    def value(match):
        name = match.group(1).split(":")[0]
        values = [v.get("in", "") if isinstance(v, dict) else v for v in lists.get(name, {}).get("values", [])]
        plain = [v for v in values if re.fullmatch(r"[\w ]+", v)]
        return draw.choice(plain) if plain else draw.choice(["kitchen", "bedroom lamp", "living room", "front door", "ten"])

    return re.sub(r"\s+", " ", re.sub(r"\{([^{}]+)\}", value, text)).strip(" ,")
