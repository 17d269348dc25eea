"""Settings: what overrides what, and that a wrong name or value is named."""

import pytest

from liqheat.config import NAMES, load_config
from liqheat.errors import ConfigError


def test_defaults_bind_to_this_machine_only(tmp_path) -> None:
    config = load_config({"data_dir": str(tmp_path)}, environ={})
    assert (config.host, config.port, config.offline) == ("127.0.0.1", 8321, False)


def test_flags_beat_environment_beats_file(tmp_path) -> None:
    file = tmp_path / "liqheat.toml"
    file.write_text('port = 1\nhost = "a"\nseed = 3\n')
    env = {"LIQHEAT_PORT": "2", "LIQHEAT_HOST": "b", "OTHER": "x"}
    config = load_config({"port": 4, "seed": None}, environ=env, file=file)
    assert (config.port, config.host, config.seed) == (4, "b", 3)


def test_file_in_data_folder_is_read(tmp_path) -> None:
    (tmp_path / "liqheat.toml").write_text("port = 99\n")
    assert load_config(environ={"LIQHEAT_DATA_DIR": str(tmp_path)}).port == 99


def test_environment_values_are_converted(tmp_path) -> None:
    env = {
        "LIQHEAT_DATA_DIR": str(tmp_path), "LIQHEAT_BROWSER": "no", "LIQHEAT_SPEED": "2.5",
        "LIQHEAT_ALLOWED_ORIGINS": "https://a.example, https://b.example",
    }  # fmt: skip
    config = load_config(environ=env)
    assert config.browser is False
    assert config.speed == 2.5
    assert config.allowed_origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize(
    ("flags", "environ", "toml", "words"),
    [
        ({}, {"LIQHEAT_PROT": "1"}, "", "setting 'LIQHEAT_PROT'; did you mean LIQHEAT_PORT"),
        ({}, {}, "prot = 1", "did you mean port"),
        ({}, {}, "port = 70000", "port = 70000"),
        ({}, {"LIQHEAT_PORT": "x"}, "", "environment: port = 'x'"),
        ({"speed": 0}, {}, "", "flags: speed = 0"),
        ({}, {}, "port = ", "cannot be read"),
        ({}, {"LIQHEAT_BROWSER": "maybe"}, "", "browser = 'maybe'"),
    ],
)  # fmt: skip
def test_wrong_setting_is_named(tmp_path, flags, environ, toml, words) -> None:
    file = tmp_path / "my.toml"
    file.write_text(toml)
    with pytest.raises(ConfigError, match=words):
        load_config(flags, environ=environ, file=file)


def test_missing_file_given_by_name_is_an_error(tmp_path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_config(environ={}, file=tmp_path / "none.toml")


def test_error_names_the_file(tmp_path) -> None:
    file = tmp_path / "my.toml"
    file.write_text("hots = 'x'")
    with pytest.raises(
        ConfigError, match=r"my\.toml: unknown setting 'hots'; did you mean host"
    ):
        load_config(environ={}, file=file)


def test_names_are_unique_words() -> None:
    assert len(set(NAMES)) == len(NAMES)
