"""Items made of an id and columns: every fast path is the plain sum, item by item."""

import copy

import pytest
import torch
from torch.testing import assert_close

from ltrec.models.inputs import NO_INPUTS, ColumnItems, IdVectors, Inputs, InputsConfig, ItemVectors, NumberNet
from ltrec.models.inputs.borrowed_ids import with_borrowed_ids
from ltrec.models.inputs.gated import Gated
from tests.support.inputs import KINDS, embed, every_input, item_columns, values_of
from tests.support.sequences import stir

V, D = 23, 6


def items_of(**options) -> ColumnItems:
    torch.manual_seed(2)
    made = every_input(V, **options).item_vectors(V, D)
    made.initialise(0.02)
    return stir(made).double()


def naive(model, item, trained=True):
    """Equation of the module's docstring, one item at a time."""
    vector = model.ids.weight[item] if trained else torch.zeros(D, dtype=torch.float64)
    for column in model.columns.values():
        gated = column.embed
        vector = vector + gated.share * gated.embed(column.values[item : item + 1])[0]
    return vector


def test_without_columns_items_are_an_embedding_and_nothing_more():
    torch.manual_seed(0)
    plain = torch.nn.Embedding(V + 1, D, padding_idx=0)
    torch.manual_seed(0)
    made = NO_INPUTS.item_vectors(V, D)
    assert type(made) is IdVectors and list(made.state_dict()) == ["weight"]
    assert torch.equal(made.weight, plain.weight) and made.table() is made.weight
    assert NO_INPUTS.event_inputs(D) is None


@pytest.mark.parametrize("made", [IdVectors(V, D), every_input(V).item_vectors(V, D)])
def test_both_are_what_a_backbone_wants(made):
    assert isinstance(made, ItemVectors) and (made.num_items, made.width) == (V, D)
    made.initialise(0.5)
    assert not made.table()[0].any() and not made(torch.tensor([0])).any()


@pytest.mark.parametrize("chunk", [1, 5, V, 1000])
def test_vectors_and_the_table_in_chunks_are_the_sum_item_by_item(chunk):
    model = items_of(untrained=(4, 9))
    model.chunk = chunk
    whole = torch.stack([torch.zeros(D, dtype=torch.float64)] + [naive(model, v, v not in (4, 9)) for v in range(1, V + 1)])
    assert_close(model.table(), whole)
    asked = torch.tensor([[3, 0, 4], [9, 3, V]])
    assert_close(model(asked), whole[asked])
    many = torch.arange(V + 1).repeat(3)  # more than there are items: looked up in the table
    assert_close(model(many), whole[many])


def test_ids_are_dropped_in_training_alone_item_by_item():
    model = items_of(untrained=(4,), id_dropout=0.25)
    model.chunk = 5
    with_id = torch.stack([torch.zeros(D, dtype=torch.float64)] + [naive(model, v, v != 4) for v in range(1, V + 1)])
    without = torch.stack([torch.zeros(D, dtype=torch.float64)] + [naive(model, v, trained=False) for v in range(1, V + 1)])
    asked, dropped = torch.arange(V + 1), torch.zeros(V + 1)
    for call in range(200):
        found = model.table() if call % 2 else model(asked)
        gone = torch.isclose(found, without).all(1)
        assert_close(found, torch.where(gone[:, None], without, with_id))
        dropped += gone
    assert dropped[0] == dropped[4] == 200
    assert abs(float(dropped[5:].sum()) / (200 * (V - 4)) - 0.25) < 0.03
    model.eval()
    assert_close(model.table(), with_id)


@pytest.mark.parametrize("option", ["id_dropout", "id_neighbours"])
def test_without_columns_ids_can_neither_be_dropped_nor_borrowed(option):
    with pytest.raises(ValueError, match=rf"{option} is .*, but items is empty"):
        InputsConfig(**{option: 0.1 if option == "id_dropout" else 3})


@pytest.mark.parametrize("count", [1, 3, 100])
def test_in_evaluation_new_items_have_the_mean_id_of_the_most_similar_ones(count):
    untrained = (4, 9, 11)
    model, plain = items_of(untrained=untrained, id_neighbours=count), items_of(untrained=untrained)
    assert_close(model.table(), plain.table())  # in training
    model.eval(), plain.eval()
    own = [naive(model, v, trained=False).detach() for v in range(V + 1)]
    expected = plain.table().detach().clone()
    for new in untrained:
        known = [v for v in range(1, V + 1) if v not in untrained]
        known.sort(key=lambda v: -float(torch.cosine_similarity(own[new], own[v], dim=0)))
        expected[new] = own[new] + torch.stack([model.ids.weight[v] for v in known[:count]]).mean(0)
    assert_close(model.table(), expected)
    asked = torch.tensor([[4, 0, 1], [11, 9, 4]])
    assert_close(model(asked), expected[asked])
    with torch.no_grad():
        assert_close(model(asked), expected[asked])


def test_who_has_no_columns_borrows_nothing():
    table, ids = torch.tensor([[0.0, 0], [1, 2], [0, 0], [3, 1]]), torch.tensor([[0.0, 0], [1, 1], [5, 5], [2, 2]])
    has_id = torch.tensor([False, True, False, True])
    assert torch.equal(with_borrowed_ids(table, ids, has_id, 2), table)
    nobody = torch.zeros(4, dtype=torch.bool)
    assert torch.equal(with_borrowed_ids(table, ids, nobody, 2), table)


def test_no_random_number_is_drawn_where_no_id_is_dropped():
    model, before = items_of(), torch.random.get_rng_state()
    model.table(), model(torch.tensor([1, 2]))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_gradients_are_those_of_the_sum():
    asked = torch.tensor([1, 4, 4, 9, 2])
    found = []
    for way in ("rows", "table", "naive"):
        model = items_of(untrained=(4,))
        weight = torch.arange(5.0, dtype=torch.float64)[:, None] + 1
        vectors = {
            "rows": lambda m: m(asked),
            "table": lambda m: m.table()[asked],
            "naive": lambda m: torch.stack([naive(m, int(v), v != 4) for v in asked]),
        }[way](model)
        (vectors * weight).square().sum().backward()
        found.append({name: p.grad for name, p in model.named_parameters()})
    for other in found[:2]:
        assert other.keys() == found[2].keys()
        for name, gradient in found[2].items():
            assert_close(other[name], gradient)
    assert not found[0]["ids.weight"][4].any()  # an item that training never met has no id to learn


def test_the_table_is_kept_in_evaluation_until_a_weight_changes():
    model = items_of().eval()
    with torch.no_grad():
        first = model.table()
        assert model.table() is first
        model.ids.weight[3] += 1
        assert_close(model.table()[3], first[3] + 1)
        model.columns["of_text"].embed.embed.weight.mul_(2)
        assert_close(model.table()[5], naive(model, 5))
    assert model.table() is not model.table()  # with gradients nothing is kept
    model.train()
    with torch.no_grad():
        assert model.table() is not model.table()


def test_a_kept_table_follows_a_loaded_state_a_copy_and_inference_mode():
    model, other = items_of().eval(), stir(items_of(), 0.1).eval()
    with torch.inference_mode():
        model.table()
    with torch.no_grad():
        model.load_state_dict(other.state_dict())
        assert_close(model.table(), other.table())
        twin = copy.deepcopy(model)
        twin.ids.weight.zero_()
        assert not torch.equal(twin.table(), model.table())


def test_values_are_in_no_checkpoint():
    assert not [name for name in items_of().state_dict() if "values" in name or "has_id" in name]


@pytest.mark.parametrize("name", KINDS)
def test_a_column_begins_as_small_as_an_id(name):
    torch.manual_seed(0)
    kind, size = KINDS[name]
    vectors = embed(kind, size)(64)(values_of(kind, size, 2000, torch.Generator().manual_seed(1)))
    assert vectors.shape == (2000, 64) and vectors.isfinite().all()
    assert 0.004 < vectors.std() < 0.05


def test_a_bag_is_the_mean_of_what_is_there():
    bag = embed("categories", 9)(4)
    with torch.no_grad():
        got = bag(torch.tensor([[3, 5, 0], [0, 0, 0], [7, 7, 7]]))
        want = torch.stack([(bag.weight[3] + bag.weight[5]) / 2, torch.zeros(4), bag.weight[7]])
    assert_close(got, want)


def test_a_number_is_standardised_clipped_and_may_be_missing():
    net = embed("number", 1)(4)
    with torch.no_grad():
        got = net(torch.tensor([2.0, 2.0 + 3 * 5, 1e30, torch.nan, torch.nan]))
        assert_close(got[1], got[2])  # five deviations are the end
        assert_close(got[3], got[4])
        assert not torch.equal(got[0], got[3])  # missing is not the mean
        by_hand = net.out(torch.relu(net.into(torch.tensor([[1.0, 0.0]]))))
        assert_close(net(torch.tensor([5.0])), by_hand)


def test_the_logarithm_is_signed():
    plain, log = NumberNet(3), NumberNet(3, log=True)
    log.load_state_dict(plain.state_dict())
    x = torch.tensor([-9.0, 0.0, 9.0])
    assert_close(log(x), plain(x.sign() * x.abs().log1p()))


def test_a_frozen_vector_has_no_length():
    project = embed("vector", 5)(4)
    x = torch.randn(3, 5)
    assert_close(project(x), project(7 * x))
    assert not project(torch.zeros(1, 5)).any()


def test_column_order_is_the_state_dicts_only_by_name():
    names = set(state_names(item_columns(V)))
    assert names == set(state_names(item_columns(V, names=tuple(reversed(KINDS)))))


def state_names(columns):
    return Inputs(columns).item_vectors(V, D).state_dict()


def test_the_initial_scale_of_a_column_is_a_tenth():
    made = Gated(embed("category", 7)(4))
    ids = torch.tensor([3, 5])
    assert_close(made(ids), 0.1 * made.embed(ids))
    made(ids).sum().backward()
    assert made.share.shape == (1,) and made.share.grad.any()
