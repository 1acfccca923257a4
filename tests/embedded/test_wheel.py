"""What Triton of the wheel finds around it."""

from embedded.wheel import Wheel, environment


def test_gpus_are_hidden_from_engines_that_were_verified_without() -> None:
    wheel = Wheel.find()
    assert environment(wheel, on_cpu=True)["CUDA_VISIBLE_DEVICES"] == ""
    shown = environment(wheel, on_cpu=False)
    assert shown.get("CUDA_VISIBLE_DEVICES") != ""
