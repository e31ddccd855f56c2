import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edcore import Network, Rule
from edcore.core.network import from_article, to_article
from edcore.core.randomness import half_normal, permutation, uniform
from edcore.core.weights import initialise
from edcore.errors import InputError


def test_shapes_signs_and_count():
    network = Network(in_=3, width=2, depth=4, heads=5, n_bias=2)
    assert network.weight_shapes == {
        "input.weight": (5, 6, 4),
        "input.bias": (5, 2, 4),
        "hidden.weight": (5, 4, 4, 4),
        "hidden.bias": (5, 4, 2, 4),
        "output.weight": (5, 4, 2),
        "output.bias": (5, 2, 2),
    }
    assert network.parameters == 5 * (24 + 8 + 64 + 32 + 8 + 4)
    assert network.input_signs == (1, 1, 1, -1, -1, -1)
    assert network.layer("hidden").target_signs == (1, 1, -1, -1)
    assert network.output_signs == (1, -1)
    assert network.bias_signs == (1, -1)
    assert [(layer.name, layer.where(2)) for layer in network.layers] == [
        ("input", (2,)),
        *(("hidden", (2, d)) for d in range(4)),
        ("output", (2,)),
    ]


def test_values_are_hashable_and_plain():
    assert hash(Network(in_=np.int64(3))) == hash(Network(in_=3))
    assert type(Network(in_=np.int64(3)).in_) is int
    assert Network(in_=1, dtype=np.float64).dtype == "float64"
    assert Rule("split", alpha=np.float32(0.5)) == Rule("split", alpha=0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_": 0}, "in_: given 0; accepted: a whole number of at least 1"),
        ({"in_": 2.0}, "in_: given 2.0; accepted: a whole number"),
        ({"in_": True}, "in_: given True; accepted: a whole number"),
        ({"width": -1}, "width: given -1; accepted: a whole number of at least 1"),
        ({"depth": -1}, "depth: given -1; accepted: a whole number of at least 0"),
        ({"heads": 0}, "heads: given 0; accepted: a whole number of at least 1"),
        ({"u0": 0}, "u0: given 0; accepted: a finite number above 0"),
        ({"u0": float("nan")}, "u0: given nan; accepted: a finite number above 0"),
        ({"u0": "wide"}, "u0: given 'wide'; accepted: a finite number above 0"),
        ({"n_bias": 3}, "n_bias: given 3; accepted: 1 .* or 2"),
        ({"dtype": "float16"}, "dtype: given 'float16'; accepted: 'float32', 'float64'"),
        ({"dtype": "flaot32"}, "Did you mean 'float32'?"),
        ({"dtype": None}, "dtype: given None; accepted: 'float32', 'float64'"),
    ],
)
def test_network_refuses(arguments, message):
    with pytest.raises(InputError, match=message):
        Network(**{"in_": 1, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"error": "singed"}, r"error: given 'singed'; accepted: 'signed', 'split'. Did you mean 'signed'\?"),
        ({"reduction": "median"}, "reduction: given 'median'; accepted: 'mean', 'sum'"),
        ({"order": "random"}, "order: given 'random'; accepted: 'batch', 'online'"),
        ({"alpha": -0.1}, "alpha: given -0.1; accepted: a finite number of at least 0"),
        ({"alpha_output": float("inf")}, "alpha_output: given inf; accepted: a finite number of at least 0"),
    ],
)
def test_rule_refuses(arguments, message):
    with pytest.raises(InputError, match=message):
        Rule(**arguments)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 9))
def test_article_layout_and_back(sources, targets, seed):
    random = np.random.default_rng(seed)
    weight, bias = random.random((2, 2, sources, targets)), random.random((2, 1, targets))
    ours, our_bias = from_article(weight, bias)
    assert ours.shape == (2 * sources, 2 * targets)
    for p, ope in enumerate((1, -1)):
        assert np.array_equal(our_bias[0, p * targets : (p + 1) * targets], ope * bias[p, 0])
        for q in range(2):
            block = ours[q * sources : (q + 1) * sources, p * targets : (p + 1) * targets]
            assert np.array_equal(block, ope * weight[p, q])
    back = to_article(ours, our_bias)
    assert np.array_equal(back[0], weight)
    assert np.array_equal(back[1], bias)


def test_article_layout_refuses_other_shapes():
    with pytest.raises(
        InputError, match=r"weight: given shape \(2, 3, 4\); accepted: shape \(2, 2, sources, targets\)"
    ):
        from_article(np.zeros((2, 3, 4)), np.zeros((2, 1, 4)))
    with pytest.raises(InputError, match=r"bias: given shape \(4,\); accepted: shape \(2, 1, 4\)"):
        from_article(np.zeros((2, 2, 3, 4)), np.zeros(4))
    with pytest.raises(InputError, match=r"weight: given shape \(3, 4\)"):
        to_article(np.zeros((3, 4)), np.zeros((1, 4)))
    with pytest.raises(InputError, match=r"bias: given shape \(2, 4\); accepted: shape \(1, 4\)"):
        to_article(np.zeros((2, 4)), np.zeros((2, 4)))


@given(st.integers(0, 2**64), st.sampled_from(["float32", "float64"]))
def test_initial_weights_have_the_articles_signs_and_ranges(seed, dtype):
    network = Network(in_=3, width=4, depth=2, heads=2, n_bias=2, dtype=dtype)
    for key, value in initialise(network, seed).items():
        assert value.dtype == dtype
        layer = network.layer(key.partition(".")[0])
        signs = np.outer(network.bias_signs if key.endswith("bias") else layer.source_signs, layer.target_signs)
        assert (value * signs >= 0).all()
        if key.endswith("bias"):
            assert np.abs(value).max() <= 1


def test_initial_weights_are_half_normal():
    drawn = half_normal(np.random.default_rng(0).random((2, 50, 1000)))
    assert drawn.shape == (2, 50, 1000)
    assert drawn.mean() == pytest.approx(np.sqrt(2 / np.pi), abs=0.01)
    assert (drawn**2).mean() == pytest.approx(1, abs=0.02)
    assert (drawn < 0.6745).mean() == pytest.approx(0.5, abs=0.01)


def test_a_shard_of_the_heads_starts_from_the_same_weights():
    many = initialise(Network(in_=3, width=2, depth=2, heads=4), seed=9)
    few = initialise(Network(in_=3, width=2, depth=2, heads=2), seed=9)
    for key, value in few.items():
        assert np.array_equal(value, many[key][:2])
        assert not np.array_equal(many[key][0], many[key][1])
    assert not np.array_equal(
        few["input.weight"], initialise(Network(in_=3, width=2, depth=2, heads=2), 10)["input.weight"]
    )


def test_raw_bits_stay_the_same_for_ever():
    ((rows, columns, drawn),) = uniform(0, 0, 0, 0, (1, 1, 3))
    assert drawn[0, rows, columns].tolist() == [[0.6027619159910471, 0.5767135228794323, 0.4645751002246622]]
    assert permutation(0, 0, 8).tolist() == [1, 3, 7, 0, 2, 5, 6, 4]


@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.integers(1, 90))
def test_numbers_are_the_same_in_blocks_of_any_size(parts, rows, columns, block):
    ((_, _, whole),) = uniform(1, 0, 0, 0, (parts, rows, columns))
    found = np.full_like(whole, np.nan)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edcore.core.randomness.BLOCK", block)
        for row, column, numbers in uniform(1, 0, 0, 0, (parts, rows, columns)):
            assert numbers[0].size <= block
            found[:, row, column] = numbers
    assert np.array_equal(found, whole)


@given(st.integers(0, 99), st.integers(0, 9), st.integers(0, 50))
def test_permutation(seed, epoch, n):
    order = permutation(seed, epoch, n)
    assert sorted(order) == list(range(n))
    assert np.array_equal(order, permutation(seed, epoch, n))


def test_a_u0_whose_slope_is_more_than_float32_holds_is_refused():
    assert Network(in_=2, u0=1e-30).u0 == 1e-30
    with pytest.raises(InputError, match=r"u0: given 1e-38; accepted: a number of at least 1e-30\."):
        Network(in_=2, u0=1e-38)
