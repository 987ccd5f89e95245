"""Recipes: every one builds, follows its data, survives a round trip, and teaches when it is misspelt."""

import os
import re
import tomllib

import pytest
import torch

from pixelcnn.data import ImageSet
from pixelcnn.errors import ConfigError, UnknownName
from pixelcnn.training import recipe as recipes
from pixelcnn.training import toml

SHAPES = {
    "annotated-cifar10": (3, 32, 32, 256),
    "chainer-cifar10": (3, 32, 32, 256),
    "chainer-colour-mnist": (3, 28, 28, 8),
    "chainer-mnist": (1, 28, 28, 2),
    "compact-cifar10": (3, 32, 32, 256),
    "compact-cifar10-large": (3, 32, 32, 256),
    "compact-cifar10-small": (3, 32, 32, 256),
    "compact-fashion": (1, 28, 28, 256),
    "compact-mnist": (1, 28, 28, 2),
    "compact-mnist-labels": (1, 28, 28, 2),
    "diagonal-bilstm-mnist": (1, 28, 28, 2),
    "digits": (1, 8, 8, 17),
    "fashion-csv": (1, 28, 28, 2),
    "fashion-mnist": (1, 28, 28, 2),
    "gated-cifar10": (3, 32, 32, 256),
    "gated-mnist": (1, 28, 28, 2),
    "gated-mnist-labels": (1, 28, 28, 2),
    "keras-mnist": (1, 28, 28, 2),
    "keras-prelu-mnist": (1, 28, 28, 2),
    "made-mnist": (1, 28, 28, 2),
    "mnist-binary": (1, 28, 28, 2),
    "mnist-colour": (3, 28, 28, 4),
    "pixelcnnpp-cifar10": (3, 32, 32, 256),
    "pixelcnnpp-cifar10-small": (3, 32, 32, 256),
    "pixelcnnpp-mnist": (1, 28, 28, 2),
    "row-lstm-mnist": (1, 28, 28, 2),
    "shapes": (1, 20, 20, 2),
    "shapes-colour": (3, 20, 20, 4),
    "snail-cifar10": (3, 32, 32, 256),
    "snail-mnist": (1, 28, 28, 2),
    "uva-mnist": (1, 28, 28, 256),
    "vq-prior": (1, 7, 7, 512),
}
"""Channels, height, width and levels of each recipe's data."""


def images(channels, height, width, levels, labels=10):
    """Noise of a shape, with labels."""
    drawn = torch.randint(levels, (20, channels, height, width))
    kind = torch.uint8 if levels <= 256 else torch.int32
    return ImageSet(drawn.to(kind), levels=levels, labels=torch.arange(20) % labels, name="noise")


def test_every_recipe_is_known_here():
    assert recipes.names() == sorted(SHAPES)


@pytest.mark.parametrize("name", SHAPES)
def test_every_recipe_builds(name):
    recipe = recipes.get(name)
    model, notes = recipe.build(images(*SHAPES[name]))
    assert notes == []
    assert (*model.shape, model.levels) == SHAPES[name]
    assert recipe.about.endswith(".")
    small = model.encode(images(*SHAPES[name]).images[:1, :, :4, :4])
    condition = torch.tensor([3]) if model.network.condition else None
    assert model.network(small, condition).shape == (1, model.network.out, 4, 4)


@pytest.mark.parametrize("name", SHAPES)
def test_every_recipe_survives_a_round_trip(name):
    recipe = recipes.get(name)
    again = recipes.parse(recipe.dumps(), "another name")
    assert again.tables() == recipe.tables()
    assert (again.name, again.about) == (recipe.name, recipe.about)


@pytest.mark.parametrize("name", SHAPES)
def test_every_recipe_says_where_it_comes_from(name):
    text = (recipes.folder() / f"{name}.toml").read_text(encoding="utf-8")
    comments = " ".join(line for line in text.splitlines() if line.startswith("#"))
    assert any(word in comments for word in ("Seed:", "Network:", "Ours."))
    if "Ours." not in comments:
        assert "Deviations:" in comments or "leaves" in comments


def test_a_network_of_a_fixed_size_follows_the_size_of_the_data():
    model, _ = recipes.get("made-mnist").build(images(1, 5, 7, 2))
    assert (model.network.rows, model.network.columns) == (5, 7)
    assert model.log_prob(images(1, 5, 7, 2).images).shape == (20,)


def test_an_embedding_follows_the_number_of_codes():
    model, _ = recipes.get("vq-prior").build(images(1, 5, 7, 300))
    assert (model.network.codes, model.network.embedding) == (300, 64)


def test_the_order_follows_the_output():
    recipe = recipes.get("digits").with_overrides(["output.name=logistic-mixture"])
    model, _ = recipe.build(images(3, 8, 8, 17))
    assert (model.network.order, model.output.levels) == ("pixel", 17)
    assert model.log_prob(images(3, 8, 8, 17).images).shape == (20,)


@pytest.mark.parametrize("shape", [(3, 12, 8, 256), (2, 5, 7, 16), (7, 5, 5, 3), (1, 9, 9, 1000)])
@pytest.mark.parametrize("name", ["digits", "keras-mnist", "gated-mnist-labels", "gated-cifar10"])
def test_a_recipe_follows_its_data(name, shape):
    recipe = recipes.get(name).with_overrides(["network.width=7", "network.depth=2"])
    model, notes = recipe.build(images(*shape))
    assert (*model.shape, model.levels) == shape
    if name == "keras-mnist":
        assert notes == [f"{shape[3]} levels: a categorical output instead of a Bernoulli"]


@pytest.mark.parametrize(("name", "width"), [("digits", 3), ("compact-fashion", 4)])
def test_layers_too_narrow_for_the_channels_are_widened_and_said_so(name, width):
    recipe = recipes.get(name).with_overrides(["network.width=2"])
    model, notes = recipe.build(images(3, 8, 8, 17))
    assert model.network.width == width
    assert notes == [f"3 channels: width {width} instead of 2"]


def test_classes_follow_the_labels():
    recipe = recipes.get("gated-mnist-labels")
    assert recipe.build(images(1, 28, 28, 2, labels=7))[0].network.condition_size == 7
    unlabelled = ImageSet(torch.zeros(2, 1, 28, 28, dtype=torch.uint8), levels=2, name="bare")
    with pytest.raises(ConfigError, match="bare has no labels"):
        recipe.build(unlabelled)


def test_the_same_seed_builds_the_same_model():
    def weights(seed):
        recipe = recipes.get("digits").with_overrides([f"training.seed={seed}"])
        return recipe.build(images(1, 8, 8, 17))[0].state_dict()["network.layers.0.vertical.weight"]

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("training.epoch=3", "no training option called 'epoch'. Did you mean 'epochs'?"),
        ("network.widht=3", "no key in [network] called 'widht'. Did you mean 'width'?"),
        ("network.out=3", "no key in [network] called 'out'."),
        ("output.levels=4", "no key in [output] called 'levels'."),
        ("data.treshold=0.3", "no key in [data] called 'treshold'. Did you mean 'threshold'?"),
        ("trainin.epochs=3", "no table called 'trainin'. Did you mean 'training'?"),
        ("network.name=gated-pixelcn", "no network called 'gated-pixelcn'. Did you mean 'gated-pixelcnn'?"),
        ("training.epochs=0", "training.epochs must be an integer from 1 to 1000000, got 0"),
        ("epochs=3", "cannot use the setting 'epochs=3'"),
        ("training.epochs", "cannot use the setting 'training.epochs'"),
        ("training.=3", "cannot use the setting 'training.=3'"),
        ("network.dropout=3", "network.dropout must be a number from 0 to below 1, got 3"),
        ("network.norm=1", "network.norm must be true or false, got 1"),
        ("network.width=true", "network.width must be an integer from 1 to 16384, got True"),
        ("network.kernel=4", "network.kernel must be an odd integer from 3 to 63, got 4"),
        ("network.width={a = 1}", "network.width must be an integer"),
        ("data.name=1979-05-27", "data.name must be a text, got datetime.date(1979, 5, 27)"),
        ("data.root=true", "data.root must be a text or a path or none, got True"),
        ("data.rgb=1", "data.rgb must be true or false, got 1"),
        ("data.threshold=nan", "data.threshold must be a number from 0 to 1 or none, got nan"),
        ("data.size=[[8]]", "data.size must be"),
        ("data.shape=[[1]]", "data.shape must be"),
        ("training.epochs=" + "9" * 5_000, "training.epochs must be an integer"),
        ("training.betas=[[1]]", "training.betas must be a list of 2"),
        ("training.seed=" + "[" * 3_000 + "]" * 3_000, "training.seed must be an integer"),
        ("training.seed=3\n[x]", "training.seed must be an integer"),
        ("data.name='a\0b'", "data.name must be a text"),
        ("output.name=3", "no output called 3"),
    ],
)  # fmt: skip
def test_a_bad_setting_teaches(setting, said):
    with pytest.raises(ConfigError) as caught:
        recipes.get("digits").with_overrides([setting])
    assert said in str(caught.value)
    assert caught.value.hint


def test_settings_take_toml_and_bare_words():
    recipe = recipes.get("digits").with_overrides(
        [
            "training.betas=[0.5, 0.9]",
            "training.schedule=cosine",
            'data.name="mnist"',
            "data.rgb=true",
        ]
    )
    assert recipe.options.betas == (0.5, 0.9)
    assert recipe.options.schedule == "cosine"
    assert recipe.data == {"name": "mnist", "rgb": True}


def test_another_network_starts_from_its_own_defaults():
    recipe = recipes.get("digits").with_overrides(["network.name=pixelcnn", "network.width=9"])
    assert recipe.network == {"name": "pixelcnn", "width": 9}


@pytest.mark.parametrize("more", [[], ["network.name=none"]])
def test_what_is_said_of_a_network_before_its_name_stays(more):
    settings = ["network.width=9", *more, "network.name=pixelcnn"]
    recipe = recipes.get("digits").with_overrides(settings)
    assert recipe.network == {"name": "pixelcnn", "width": 9}


def test_a_recipe_without_data_asks_for_them():
    with pytest.raises(ConfigError, match="recipe fashion-csv has no data set") as caught:
        recipes.get("fashion-csv").load()
    assert "--data" in caught.value.hint


def test_an_unknown_recipe_suggests_the_nearest():
    with pytest.raises(UnknownName, match=r"no recipe called 'digit'.*'digits'"):
        recipes.get("digit")


def test_a_data_set_or_a_folder_in_place_of_a_recipe_is_told_where_it_goes(tmp_path):
    with pytest.raises(UnknownName, match="mnist is a data set, not a recipe") as caught:
        recipes.get("mnist")
    assert "keras-mnist" in caught.value.hint
    assert "--data mnist" in caught.value.hint
    with pytest.raises(UnknownName, match="is no recipe") as caught:
        recipes.get(tmp_path)
    assert f"--data {tmp_path}" in caught.value.hint


def test_own_recipes_are_files(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(recipes.get("digits").dumps().replace("recipe: digits", "mine"))
    assert recipes.get(path).tables() == recipes.get("digits").tables()
    assert recipes.get(str(path)).name == "mine"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[data\n", "not valid TOML"),
        ("[dat]\n", "no table called 'dat'. Did you mean 'data'?"),
        ("data = 3\n", "data must be a table"),
        ('[network]\nwidth = 3\n[output]\nname = "bernoulli"\n', "[network] needs a name"),
        ('[network]\nname = "pixelcnn"\n', "[output] needs a name"),
        ("x = " + "[" * 5_000, "nested too deep"),
        ("x = " + "9" * 5_000, "a number is too long"),
        ("[data]\n[data]\n", "not valid TOML"),
        ("#" * 1_000_001, "are too many"),
        ("# recipe: ../../x\n", "'../../x' cannot be the name of a recipe"),
        ("# recipe: \u202ex\n", "cannot be the name of a recipe"),
    ],
    ids=range(11),
)
def test_a_file_that_is_no_recipe_is_refused(text, said):
    if text.startswith("# recipe"):
        text += recipes.get("digits").dumps().split("\n", 1)[1]
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        recipes.parse(text, "mine")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"# Gr\xfc\xdfe\n", "not valid TOML: invalid"),
        ("# Grüße\n".encode("utf-16"), "not valid TOML"),
        (b"x\0", "not valid TOML"),
        (b"#" * 1_000_001, "larger than 1,000,000 bytes"),
    ],
    ids=["latin-1", "utf-16", "nul", "large"],
)
def test_a_file_of_bytes_that_are_no_recipe_is_refused(tmp_path, content, said):
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=said) as caught:
        recipes.get(path)
    assert caught.value.hint


def test_a_mark_of_utf_8_before_a_recipe_is_no_part_of_it(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbf" + recipes.get("digits").dumps().encode())
    assert recipes.get(path).name == "digits"


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_only_a_regular_file_is_read(tmp_path, kind):
    path = tmp_path / "mine.toml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises(UnknownName, match="is no recipe"):
        recipes.get(path)
    if kind != "folder":
        with pytest.raises(ConfigError, match="no regular file"):
            toml.read(path)


def test_what_is_no_text_is_written_into_no_recipe():
    recipe = recipes.get("digits").with_overrides([recipes.Setting("data", "name", "\udcff")])
    with pytest.raises(ConfigError, match="no text that a recipe can hold"):
        recipe.dumps()


@pytest.mark.parametrize(
    "value",
    ["plain", 'quo"te', "back\\slash", "new\nline\ttab", "Grüße \x7f\x01", 1e-8, 1e22, -0.0, 3.0, True, 7,
     [0.9, 0.99], ["a", "b"], []],
)  # fmt: skip
def test_what_is_written_is_read_again(value):
    assert tomllib.loads(toml.dumps({"data": {"x": value, "gone": None}})) == {"data": {"x": value}}
