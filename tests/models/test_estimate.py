"""The estimate of tokens, held against what real tokenizers counted."""

from __future__ import annotations

import base64
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.conversation import (
    Foreign,
    Format,
    Media,
    Message,
    Object,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from dragoman.models.estimate import Calibration, attachments, estimate, estimate_text, picture_tokens
from dragoman.models.pictures import pixel_size
from dragoman.models.textcount import TextCounts, text_tokens
from tests.models.building import assistant, call, request, result, user

# Texts, with the fewest and the most tokens that the tokenizers of Qwen 3, Gemma 3, DeepSeek V3, Llama 3, GPT-4o and
# Mistral (Tekken) made of them.
COUNTED: dict[str, tuple[str, int, int]] = {
    "english": (
        (
            "The gateway listens on one port and answers every program in its own language. When a model canno"
            "t do what was asked, it says so, and nothing is lost without a word. People who run it at home ne"
            "ed no account, and those who run it for a team can see who used what."
        ),
        60,
        61,
    ),
    "python": (
        (
            "def resolve(self, name: str, today: date) -> Resolution:\n    card = self.find(name, today)\n    "
            'if card is None:\n        raise GatewayError("model_not_found", f"model \'{name}\' not found", '
            'param="model")\n    for alias, target in self.aliases.items():\n        if target == card.id an'
            "d not card.retired(today):\n            return Resolution(asked=name, card=card)\n    return Reso"
            'lution(name, card, substituted="unknown name")\n'
        ),
        99,
        117,
    ),
    "json": (
        (
            '{"name": "get_weather", "description": "The weather of a city", "parameters": {"type"'
            ': "object", "properties": {"city": {"type": "string"}, "day": {"type": "string", '
            '"format": "date"}, "hours": {"type": "array", "items": {"type": "integer", "mini'
            'mum": 0, "maximum": 23}}}, "required": ["city"], "additionalProperties": false}}'
        ),
        96,
        98,
    ),
    "listing": (
        (
            "-rw-r--r-- 1 root root   8214 2026-11-22 06:14 catalogue.py\n-rw-r--r-- 1 root root  15790 2026-1"
            "1-21 23:59 estimate.py\ndrwxr-xr-x 2 root root   4096 2026-10-02 11:05 __pycache__\n-rwxr-xr-x 1 "
            "root root 129383 2026-01-30 17:31 libzstd.so.1.5.7\n"
        ),
        117,
        159,
    ),
    "base64": (
        (
            "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB1L9RIvNEVUxTveLruM0rfj0WAK1jHDhaXXzOI8d4VFmtvBtMkA/+SNV"
            "1tdpcY4BAEl9l2w/j4kSUt26phkV9mGCE/tCLl4r019GWp0RqhrWACeY2thHbFiEbZamq3/KcXlLZxQjFAjRzRNjAetkcvWBo"
            "r8df9ikvBioJyjgcieced7mprp4wsNvbb1EKJk753ngVAde2uSronrBZxat0Pb"
        ),
        171,
        184,
    ),
    "hex": (
        (
            "a4abd4448c49562d828115d13a1fccea927f52b4d5459297f8b43e42da89238bc13626e43dcb38ddb082488927ec904fb"
            "42057443983e88585179d50551afe62"
        ),
        63,
        116,
    ),
    "german": (
        (
            "Das Haus steht auf einem Hügel über dem Fluss, und im Frühling sind die Felder darunter voller Wa"
            "sser. Früher gingen die Kinder des Dorfes nach der Schule dorthin, um Frösche zu fangen und Stein"
            "e zu sammeln."
        ),
        49,
        62,
    ),
    "french": (
        (
            "La maison se trouve sur une colline au-dessus de la rivière, et au printemps les champs en contre"
            "bas sont pleins d'eau. Autrefois, les enfants du village y allaient après l'école pour attraper d"
            "es grenouilles."
        ),
        48,
        55,
    ),
    "polish": (
        (
            "Dom stoi na wzgórzu nad rzeką, a wiosną pola poniżej są pełne wody. Dawniej dzieci ze wsi chodził"
            "y tam po szkole łapać żaby i zbierać kamienie."
        ),
        46,
        55,
    ),
    "russian": (
        (
            "Дом стоит на холме над рекой, и весной поля под ним полны воды. Раньше деревенские дети ходили ту"
            "да после школы ловить лягушек и собирать камни."
        ),
        43,
        54,
    ),
    "greek": (
        ("Το σπίτι στέκεται σε έναν λόφο πάνω από το ποτάμι, και την άνοιξη τα χωράφια από κάτω είναι γεμάτα νερό."),
        37,
        85,
    ),
    "arabic": (
        (
            "يقف البيت على تل فوق النهر، وفي الربيع تمتلئ الحقول تحته بالماء. وكان أطفال القرية يذهبون إلى هنا"
            "ك بعد المدرسة."
        ),
        30,
        39,
    ),
    "hebrew": (
        ("הבית עומד על גבעה מעל הנהר, ובאביב השדות שמתחתיו מלאים מים."),
        24,
        53,
    ),
    "hindi": (
        ("घर नदी के ऊपर एक पहाड़ी पर खड़ा है, और वसंत में नीचे के खेत पानी से भरे होते हैं।"),
        23,
        75,
    ),
    "thai": (
        ("บ้านตั้งอยู่บนเนินเขาเหนือแม่น้ำ และในฤดูใบไม้ผลิทุ่งนาด้านล่างเต็มไปด้วยน้ำ"),
        26,
        44,
    ),
    "chinese": (
        ("房子坐落在河边的小山上,春天的时候,下面的田野里满是水。从前村里的孩子们放学后常去那里捉青蛙、捡石头。"),
        30,
        51,
    ),
    "japanese": (
        (
            "家は川を見下ろす丘の上に立っていて、春になると下の畑は水でいっぱいになります。昔、村の子どもたちは放課後にそこへカエルを捕まえに行きました。"
        ),
        41,
        57,
    ),
    "korean": (
        (
            "집은 강 위의 언덕에 서 있고, 봄이 되면 아래의 들판은 물로 가득 찬다. "
            "옛날에는 마을 아이들이 학교가 끝나면 그곳으로 가서 개구리를 잡았다."
        ),
        42,
        61,
    ),
    "vietnamese": (
        ("Ngôi nhà nằm trên một ngọn đồi phía trên dòng sông, và vào mùa xuân những cánh đồng bên dưới đầy nước."),
        27,
        45,
    ),
    "emoji": (
        ("🎉🚀🔥 Done! 👍🏽👨‍👩‍👧‍👦 ✅✅ 🇩🇪🇫🇷"),
        21,
        60,
    ),
}
# Families and flags made of many signs are counted a little too low.
LOW = {"emoji"}
ORDINARY = ("english", "json")


@pytest.mark.parametrize("name", COUNTED)
def test_an_estimate_is_not_below_what_tokenizers_count(name: str) -> None:
    text, fewest, most = COUNTED[name]
    found = estimate_text(text)
    assert found.tokens >= most * (0.9 if name in LOW else 1)
    assert found.least <= fewest


@pytest.mark.parametrize("name", ORDINARY)
def test_an_estimate_of_ordinary_text_is_near(name: str) -> None:
    text, fewest, _ = COUNTED[name]
    assert estimate_text(text).tokens <= 1.4 * fewest


def test_code_is_less_dense_than_base64_and_prose_than_code() -> None:
    def density(name: str) -> float:
        return estimate_text(COUNTED[name][0]).tokens / len(COUNTED[name][0])

    assert density("english") < density("python") < density("base64")


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=400))
def test_any_text_has_an_estimate(text: str) -> None:
    found = estimate_text(text)
    assert 0 <= found.least <= found.tokens
    assert bool(found.tokens) == bool(text)


def test_half_a_surrogate_is_text_too() -> None:
    assert estimate_text("\ud800 x").tokens > 0


@settings(max_examples=50, deadline=None)
@given(st.text(min_size=1, max_size=60), st.integers(2, 50))
def test_more_of_the_same_is_as_much_more(text: str, times: int) -> None:
    once, many = estimate_text(text).tokens, estimate_text(text * times).tokens
    assert once <= many
    assert many <= (once + 12) * times


# --- requests -----------------------------------------------------------------------------------


def tokens(*messages: Message, **members: object) -> int:
    return estimate(request(*messages, **members)).tokens


def test_a_whole_request_is_more_than_its_words() -> None:
    # A chat of 41 messages of a word each was 273 tokens in Llama 3's template, 270 in Qwen 3's.
    messages = [(assistant if i % 2 else user)("yes" if i % 2 else "ok?") for i in range(41)]
    assert 273 <= tokens(*messages) <= 1.4 * 273


_SCHEMA: Object = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "description": "The city, in English"},
        "day": {"type": "string", "format": "date"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "options": {
            "type": "object",
            "properties": {"detail": {"type": "boolean"}, "hours": {"type": "array", "items": {"type": "integer"}}},
        },
    },
    "required": ["city"],
}
_SUBJECTS = ("weather", "temperature", "pollen", "tides", "sunrise", "events", "news", "traffic")
_USE = "Get the {0} of a place, for a day that the user names. Use it whenever the user asks for {0}."


def test_tools_are_counted_as_templates_write_them() -> None:
    # Qwen 3's template made 1382 tokens of this.
    tools = [Tool(name=f"get_{it}", description=_USE.format(it), schema=_SCHEMA) for it in _SUBJECTS]
    assert 1382 <= tokens(user("What is the weather in Paris?"), tools=tools) <= 1.4 * 1382


WORDS = "The house stands on a hill above the river. " * 20
ADDED: dict[str, tuple[Part, int]] = {
    "text": (Text(text=WORDS), 150),
    "thinking": (Thinking(text=WORDS), 150),
    "a call": (ToolCall(id="1", name="f", arguments=WORDS), 150),
    "a result": (ToolResult(id="1", content=[Text(text=WORDS)]), 150),
    "a picture in a result": (ToolResult(id="1", content=[Media(kind="image", data="x", source="url")]), 1000),
    "a foreign block": (Foreign(origin="openai_chat", extra={"type": "x", "text": WORDS}), 150),
    "a text document": (Media(kind="document", data=WORDS, source="text"), 150),
    "a remote picture": (Media(kind="image", data="https://example.com/x.png", source="url"), 1000),
    "a broken picture": (Media(kind="image", data="!!!"), 1000),
    "a sound": (Media(kind="audio", data="A" * 40_000), 50),
    "a document": (
        Media(kind="document", data=base64.b64encode(b"%PDF-1.7 /Type /Page\n/Type /Page\n").decode()),
        3000,
    ),
    "a document in pieces": (Media(kind="document", data="JVBERi0" + "A" * 200_000), 8000),
    "a remote document": (Media(kind="document", data="https://example.com/x.pdf", source="url"), 1000),
}


@pytest.mark.parametrize("name", ADDED)
def test_every_kind_of_part_counts(name: str) -> None:
    part, least = ADDED[name]
    bare = tokens(user("x"))
    assert tokens(user("x", part)) - bare >= least
    held = part.content[0] if isinstance(part, ToolResult) else part
    remote = isinstance(held, Media) and held.source != "text"
    assert (attachments(request(user(part))) > 0) is remote


def test_a_schema_and_a_name_count() -> None:
    bare = tokens(user("x"))
    assert tokens(user("x"), format=Format(kind="schema", schema=_SCHEMA)) > bare + 50
    assert tokens(Message(role="user", content=[Text(text="x")], name="Bartholomew")) > bare


def test_earlier_thinking_may_be_left_out_by_the_template() -> None:
    thought = assistant(Thinking(text=WORDS), "so")
    assert estimate(request(user("x"), thought)).least < estimate_text(WORDS).least


def test_a_request_of_everything_has_an_estimate() -> None:
    found = estimate(request(user("hi"), assistant(call("1")), user(result("1")), tools=[Tool(name="f")]))
    assert 0 < found.least < found.tokens


# --- pictures -----------------------------------------------------------------------------------


def _png(width: int, height: int) -> bytes:
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))


def _jpeg(width: int, height: int) -> bytes:
    thumbnail = b"\xff\xe1" + struct.pack(">H", 9000) + b"\xff\xc0" * 4499  # a size that is none, to be skipped
    return b"\xff\xd8" + thumbnail + b"\xff\xff\xc2" + struct.pack(">HBHH", 17, 8, height, width) + b"\0" * 12


def _webp(kind: bytes, size: bytes) -> bytes:
    return b"RIFF\0\0\0\0WEBP" + kind + b"\0" * 4 + size


PICTURES: dict[str, bytes] = {
    "png": _png(640, 480),
    "gif": b"GIF89a" + struct.pack("<HH", 640, 480) + b"\0" * 3,
    "bmp": b"BM" + b"\0" * 16 + struct.pack("<ii", 640, -480),
    "jpeg": _jpeg(640, 480),
    "webp lossy": _webp(b"VP8 ", b"\0" * 6 + struct.pack("<HH", 640, 480)),
    "webp lossless": _webp(b"VP8L", b"\x2f" + struct.pack("<I", 639 | 479 << 14)),
    "webp extended": _webp(b"VP8X", b"\0" * 4 + (639).to_bytes(3, "little") + (479).to_bytes(3, "little")),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_says_its_size(name: str) -> None:
    data = base64.b64encode(PICTURES[name]).decode()
    assert pixel_size(data) == (640, 480)
    cut = base64.b64encode(PICTURES[name][:16]).decode()
    assert pixel_size(cut) in (None, (640, 480))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(PICTURES)), st.binary(max_size=64))
def test_no_picture_is_too_broken(name: str, rest: bytes) -> None:
    found = pixel_size(base64.b64encode(PICTURES[name][:12] + rest).decode())
    assert found is None or min(found) > 0


def test_large_pictures_are_scaled_down_and_small_ones_cost_a_grid() -> None:
    assert picture_tokens((1920, 1080)) == 56 * 32
    assert picture_tokens((8000, 8000)) == picture_tokens((1568, 1568)) == 56 * 56
    assert picture_tokens((16, 16)) == 600
    assert picture_tokens(None) == 1600


# --- calibration --------------------------------------------------------------------------------


def learned(*reals: int, estimate: int = 1000) -> Calibration:
    calibration = Calibration()
    for real in reals:
        calibration.observe("m", estimate, real)
    return calibration


def test_a_model_nobody_has_seen_is_not_corrected() -> None:
    assert Calibration().corrected("m", 1000) == 1000
    assert learned(500).corrected("other", 1000) == 1000


def test_one_count_above_the_estimate_raises_the_next() -> None:
    assert learned(1500).corrected("m", 1000) >= 1500


def test_it_takes_several_counts_to_lower_an_estimate() -> None:
    assert learned(*[700] * 4).corrected("m", 1000) == 1000
    assert 700 <= learned(*[700] * 5).corrected("m", 1000) <= 760


def test_a_correction_stays_high() -> None:
    assert learned(*[700] * 8, 900, 700).corrected("m", 1000) >= 900
    assert learned(*[100] * 20).corrected("m", 1000) == 500
    assert learned(*[90_000] * 20).corrected("m", 1000) == 4000


def test_old_counts_are_forgotten() -> None:
    assert learned(3000, *[700] * 40).corrected("m", 1000) < 800


def test_small_prompts_teach_nothing() -> None:
    assert learned(900, estimate=100).corrected("m", 1000) == 1000
    assert learned(0).corrected("m", 1000) == 1000


def test_the_memory_for_models_is_bounded() -> None:
    calibration = Calibration(most=2)
    for key in ("a", "b", "c"):
        calibration.observe(key, 1000, 2000)
    assert calibration.corrected("a", 1000) == 1000
    assert calibration.corrected("b", 1000) > 1000


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.55, 3.0), min_size=5, max_size=60))
def test_most_of_what_was_seen_lies_below_the_correction(ratios: list[float]) -> None:
    calibration = learned(*(round(ratio * 1000) for ratio in ratios))
    recent = [round(ratio * 1000) for ratio in ratios][-32:]
    corrected = calibration.corrected("m", 1000)
    assert sum(real <= corrected for real in recent) >= 0.9 * len(recent)


def test_texts_that_come_again_count_the_same() -> None:
    counts = TextCounts(most=2)
    texts = [
        "",
        "short",
        "a text that is longer than what is looked up " * 3,
        "日本語のテキスト " * 20,
        "def f(x): return x\n" * 9,
    ]
    for text in texts + texts:
        assert counts(text) == text_tokens(text)


def test_a_conversation_that_grows_is_counted_where_it_grew(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []

    def count(text: str) -> tuple[float, float]:
        counted.append(text)
        return text_tokens(text)

    monkeypatch.setattr("dragoman.models.textcount.text_tokens", count)
    counts = TextCounts()
    old, new = "what was said before, and is sent again " * 9, "what is said now, for the first time " * 9
    for text in (old, old, new, old):
        counts(text)
    assert counted == [old, new]
