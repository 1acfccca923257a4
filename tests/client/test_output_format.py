import io

import pytest
from PIL import Image

from client.output_format import FORMAT_OF_SUFFIX, OutputFormat


@pytest.mark.parametrize("output_format", OutputFormat)
def test_a_real_file_begins_as_its_format_alone(output_format: OutputFormat) -> None:
    file = io.BytesIO()
    Image.new("RGB", (2, 2)).save(file, output_format.name)
    begun = [other for other in OutputFormat if other.begins(file.getvalue())]
    assert begun == [output_format]


def test_nothing_begins_an_empty_file() -> None:
    assert not any(output_format.begins(b"") for output_format in OutputFormat)


@pytest.mark.parametrize("output_format", OutputFormat)
def test_its_suffix_leads_back_to_it(output_format: OutputFormat) -> None:
    assert FORMAT_OF_SUFFIX[output_format.suffix] is output_format
