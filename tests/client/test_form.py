from client.form import Form
from client.output_format import OutputFormat


def test_what_is_not_given_is_not_sent() -> None:
    assert Form("a cat").given == {"prompt": "a cat", "output_format": "png"}


def test_zero_false_and_empty_are_given() -> None:
    form = Form("", "", 0, safety_check=False, output_format=OutputFormat.WEBP)
    assert form.given == {
        "prompt": "",
        "negative_prompt": "",
        "seed": 0,
        "safety_check": False,
        "output_format": "webp",
    }


def test_a_seed_makes_it_repeatable() -> None:
    assert Form("a cat", seed=0).is_repeatable
    assert not Form("a cat").is_repeatable
