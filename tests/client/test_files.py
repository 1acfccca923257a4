"""Which file becomes which, and whole."""

import io
import stat
from pathlib import Path

import pytest
from PIL import Image

from client.errors import UsageError
from client.files import FORMAT_OF_SUFFIX, Job, OutputFormat, make_folders, plan, write_whole

PNG, JPEG, WEBP = OutputFormat.PNG, OutputFormat.JPEG, OutputFormat.WEBP


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of images and more, which is also the working directory's `photos`."""
    monkeypatch.chdir(tmp_path)
    for name in ("b.png", "a.JPG", "deep/c.webp", "notes.txt", ".hidden.png", ".git/d.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return Path("photos")


def planned(sources: list[Path], output: Path | None, kind: OutputFormat = PNG) -> dict[str, str]:
    return {str(job.source): str(job.output) for job in plan(sources, output, kind)}


def test_one_file_goes_beside_itself(folder: Path) -> None:
    assert planned([folder / "b.png"], None) == {"photos/b.png": "photos/b-upscaled.png"}
    assert planned([folder / "b.png"], None, JPEG) == {"photos/b.png": "photos/b-upscaled.jpg"}


def test_one_file_goes_into_a_folder_that_exists(folder: Path) -> None:
    assert planned([folder / "b.png"], folder / "deep") == {"photos/b.png": "photos/deep/b.png"}


@pytest.mark.parametrize(
    ("name", "output_format"),
    [("x.png", PNG), ("x.jpg", JPEG), ("x.JPEG", JPEG), ("x.webp", WEBP)],
)
def test_the_suffix_of_a_named_file_decides(
    folder: Path, name: str, output_format: OutputFormat
) -> None:
    for asked in OutputFormat:
        [job] = plan([folder / "b.png"], Path(name), asked)
        assert job.output == Path(name)
        assert job.output_format is output_format


def test_another_suffix_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"x\.tiff is no folder .* ends in \.png, \.jpg"):
        plan([folder / "b.png"], Path("x.tiff"), PNG)


def test_folders_are_searched_and_mirrored(folder: Path) -> None:
    assert list(planned([folder], Path("out"), WEBP).items()) == [
        ("photos/a.JPG", "out/a.webp"),
        ("photos/b.png", "out/b.webp"),
        ("photos/deep/c.webp", "out/deep/c.webp"),
    ]


def test_several_files_keep_their_names(folder: Path) -> None:
    sources = [folder / "b.png", folder / "deep" / "c.webp", folder / "b.png"]
    assert planned(sources, Path("out")) == {
        "photos/b.png": "out/b.png",
        "photos/deep/c.webp": "out/c.png",
    }


def test_results_inside_the_folder_are_not_searched(folder: Path) -> None:
    Path("photos/out").mkdir()
    Path("photos/out/a.png").touch()
    assert "photos/out/a.png" not in planned([folder], folder / "out")


@pytest.mark.parametrize(
    ("sources", "output", "sentence"),
    [
        (["photos/none.png"], None, "none.png does not exist"),
        (["https://host.test/a.png"], None, r"https://host.test/a.png is an address"),
        (["http://host.test/a.png", "photos/b.png"], "out", "is an address"),
        (["-", "photos/b.png"], "out", "one image"),
        (["photos"], "-", "one image"),
        (["photos"], None, "name it with --output"),
        (["photos"], "photos/b.png", "is a file"),
        (["photos"], "photos", "name another one"),
        (["photos/.git/empty"], "out", "No images"),
        (["photos/b.png"], "photos/b.png", "itself an image"),
        (["photos/b.png", "photos/a.JPG"], "photos", "itself an image"),
        (["photos/deep/c.webp", "photos/other/c.png"], "out", "would both become out/c.png"),
    ],
)
def test_what_cannot_be_done_is_refused(
    folder: Path, sources: list[str], output: str | None, sentence: str
) -> None:
    (folder / ".git" / "empty").mkdir()
    (folder / "other").mkdir()
    (folder / "other" / "c.png").touch()
    with pytest.raises(UsageError, match=sentence):
        plan([Path(source) for source in sources], Path(output) if output else None, PNG)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_a_folder_has_the_images_that_their_content_tells(folder: Path, kind: str) -> None:
    Image.new("RGB", (2, 2)).save(folder / "scan", kind)
    Image.new("RGB", (2, 2)).save(folder / "other.data", kind)
    found = planned([folder], Path("out"))
    assert found["photos/scan"] == "out/scan.png"
    assert found["photos/other.data"] == "out/other.png"
    assert "photos/notes.txt" not in found


def test_a_name_too_long_is_cut_and_stays_one_of_a_kind(folder: Path) -> None:
    long = [folder / f"{'ü' * 125}{ending}.png" for ending in ("a", "b")]
    for path in long:
        path.touch()
    results = [plan([path], None, WEBP)[0].output for path in long]
    assert results[0] != results[1]
    for result in results:
        assert result.name.startswith("ü" * 100)
        assert result.name.endswith("-upscaled.webp")
        result.touch()
    assert len(planned(long, Path("out"), WEBP)) == 2


def test_standard_output_is_not_a_terminal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [job] = plan([Path("-")], None, JPEG)
    assert (job.source, job.output, job.output_format) == (Path("-"), Path("-"), JPEG)
    assert planned([Path("-")], folder) == {"-": "photos/upscaled.png"}
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with pytest.raises(UsageError, match="would go to the terminal"):
        plan([Path("-")], None, PNG)


def test_folders_are_made(tmp_path: Path) -> None:
    job = Job(tmp_path / "a.png", tmp_path / "out" / "deep" / "a.png")
    make_folders([job, job])
    assert (tmp_path / "out" / "deep").is_dir()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"file cannot be made"):
        make_folders([Job(tmp_path / "a.png", tmp_path / "file" / "a.png")])
    # One of several fails by itself, when it is written.
    job = Job(tmp_path / "a.png", tmp_path / "file" / "a.png")
    make_folders([job, Job(tmp_path / "a.png", tmp_path / "out" / "a.png")])
    with pytest.raises(OSError, match=r"exists|Not a directory"):
        job.write(b"content")


def test_a_folder_that_cannot_be_written_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.files.os.access", lambda *_: False)  # root may write everywhere
    with pytest.raises(UsageError, match="cannot be written to"):
        make_folders([Job(tmp_path / "a.png", tmp_path / "b.png")])


def test_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_whole(path, b"first")
    write_whole(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [path]


def test_others_may_read_it_as_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    write_whole(tmp_path / "a.png", b"content")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_a_failure_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"before")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"after")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


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
